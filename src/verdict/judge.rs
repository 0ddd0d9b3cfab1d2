//! x
//! Invariant: y
/// One
#[derive(Clone, Debug)]
pub struct Judgement;
