//! How much is to be proved, and from which seed: `GVPIE_PROOF=quick|full` and `GVPIE_SEED`.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effort {
    Quick,
    Full,
}

impl Effort {
    pub fn of_environment() -> Effort {
        match std::env::var("GVPIE_PROOF").as_deref() {
            Ok("full") => Effort::Full,
            Ok("quick") | Err(std::env::VarError::NotPresent) => Effort::Quick,
            other => panic!("GVPIE_PROOF={other:?}: expected quick or full"),
        }
    }

    /// The seed that is asked for; else the same each time for `Quick`, and another for `Full`.
    pub fn seed(self) -> u64 {
        match std::env::var("GVPIE_SEED") {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("GVPIE_SEED={text}: no number")),
            Err(_) if self == Effort::Full => std::time::UNIX_EPOCH.elapsed().unwrap().as_secs(),
            Err(_) => 1,
        }
    }

    /// What to set to have the same again from this seed.
    pub fn again(self, seed: u64) -> String {
        let effort = if self == Effort::Full { "full" } else { "quick" };
        format!("GVPIE_PROOF={effort} GVPIE_SEED={seed}")
    }
}
