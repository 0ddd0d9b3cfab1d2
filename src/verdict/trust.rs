//! x
/// One
#[derive(Clone, Debug)]
pub struct Trust;
