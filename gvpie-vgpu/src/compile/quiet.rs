//! Calls of the rare paths, which keep every register of who calls them.
//!
//! A loop asks for more of its budget once in a while. Were that a call as others are, all that lives in
//! vectors over the loop would be in memory, for a call that hardly ever happens: no vector register outlives
//! a call on most machines. So the code calls functions in between that save what they change.

use super::emit::{Emitter, field, own};
use super::engine::{Code, Engine};
use super::run;
use crate::interp::RunError;
use cranelift_codegen::ir::immediates::Offset32;
use cranelift_codegen::ir::{AbiParam, Block, Function, InstBuilder, Signature, Value, types};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::FunctionBuilder;
use std::sync::OnceLock;

/// What the host is asked or told; each begins with what machine code is given.
#[derive(Debug, Clone, Copy)]
pub(super) enum Question {
    /// For more of the budget.
    Grant,
    /// To take note of a barrier that some lanes do not come to.
    Divergent,
    /// To take note of addresses past their memory.
    Past,
}

impl Question {
    const ALL: [Question; 3] = [Question::Grant, Question::Divergent, Question::Past];

    /// Who answers, and with how many words to go by.
    fn answered_by(self) -> (usize, usize) {
        match self {
            Question::Grant => (run::grant as *const () as usize, 1),
            Question::Divergent => (run::divergent as *const () as usize, 4),
            Question::Past => (run::past as *const () as usize, 6),
        }
    }
}

/// The functions in between.
#[derive(Debug)]
pub(super) struct Quiet {
    code: Code,
}

impl Quiet {
    /// Those of this process.
    pub(super) fn get() -> Result<&'static Quiet, RunError> {
        static QUIET: OnceLock<Result<Quiet, RunError>> = OnceLock::new();
        QUIET.get_or_init(Quiet::new).as_ref().map_err(Clone::clone)
    }

    fn new() -> Result<Quiet, RunError> {
        let mut engine = Engine::new()?;
        for question in Question::ALL {
            let function = between(&mut engine, question);
            engine.define(function)?;
        }
        Ok(Quiet { code: engine.finish()? })
    }
}

/// A signature of so many words.
fn signature(convention: CallConv, words: usize) -> Signature {
    let mut signature = Signature::new(convention);
    signature.params = vec![AbiParam::new(types::I64); words];
    signature
}

/// Passes a question on, and leaves the answer where who asked finds it: this convention gives nothing back.
fn between(engine: &mut Engine, question: Question) -> Function {
    let (address, words) = question.answered_by();
    let (convention, frontend) = (engine.call(), engine.frontend());
    let mut function = engine.function();
    function.signature = signature(CallConv::PreserveAll, words);
    let mut b = FunctionBuilder::new(&mut function, &mut engine.builder);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    b.seal_block(entry);
    let given = b.block_params(entry).to_vec();
    let mut answers = signature(convention, words);
    answers.returns.push(AbiParam::new(types::I32));
    let answers = b.import_signature(answers);
    let address = b.ins().iconst(types::I64, address as i64);
    let call = b.ins().call_indirect(answers, address, &given);
    let answer = b.inst_results(call)[0];
    b.ins().store(own(), answer, given[0], Offset32::new(field!(answer)));
    b.ins().return_(&[]);
    b.finalize(frontend);
    function
}

impl Emitter<'_, '_> {
    /// Asks the host, and ends the function early if it says stop. `given` is what comes after what this
    /// code is given itself.
    pub(super) fn ask_host(&mut self, question: Question, given: &[Value]) {
        self.tell_host(question, given);
        let stop = self.load(types::I32, own(), self.given, field!(answer));
        self.stop_if(stop);
    }

    /// Tells the host of what always ends the function, and goes on in a block for those who did not come
    /// here.
    pub(super) fn stop_by_host(&mut self, question: Question, given: &[Value], next: Block) {
        self.tell_host(question, given);
        let one = self.word(1);
        self.b.ins().return_(&[one]);
        self.b.seal_block(next);
        self.b.switch_to_block(next);
    }

    fn tell_host(&mut self, question: Question, given: &[Value]) {
        let words: Vec<Value> = [self.given].iter().chain(given).copied().collect();
        let signature = signature(CallConv::PreserveAll, words.len());
        let signature = self.b.import_signature(signature);
        let address = self.long(self.quiet.code.address(question as usize) as i64);
        self.b.ins().call_indirect(signature, address, &words);
    }
}
