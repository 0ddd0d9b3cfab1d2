
'
p.protop"
M2
S
F.p.M.p.M