// Serves HTTP on a free port whose number it prints; when its input ends, prints the counts once no
// client is left, and exits. `open` returns how many clients there are.
module.exports = function serve(http, counts, open) {
  http.listen(0, "127.0.0.1", () => console.log(http.address().port));
  process.stdin.resume().on("end", () => {
    // What the last clients sent is read before their end.
    setInterval(() => {
      if (open() > 0) return;
      console.log(JSON.stringify(counts));
      process.exit(0);
    }, 10);
  });
};
