use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Debug;
use std::hash::Hash;

/// Actors whose steps are small, and objects of the kernel that they share.
///
/// Every step is atomic, as a system call or an access to one word is; between any two steps of an actor those of others may come, and
/// its death, which is a step like any other.
pub trait Model {
    /// All that the actors and the kernel remember.
    type State: Clone + Eq + Hash + Debug;

    /// How it begins.
    fn initial(&self) -> Self::State;

    /// What can happen next, and what the state is then.
    fn steps(&self, state: &Self::State, add: &mut dyn FnMut(&'static str, Self::State));

    /// What can happen once nothing else can: the steps of whoever comes last. Nobody's by default.
    fn last_steps(&self, state: &Self::State, add: &mut dyn FnMut(&'static str, Self::State)) {
        let _ = (state, add);
    }

    /// What must hold in every state.
    ///
    /// # Errors
    ///
    /// What does not.
    fn check(&self, state: &Self::State) -> Result<(), String>;

    /// What must hold when nothing can happen any more.
    ///
    /// # Errors
    ///
    /// What does not.
    fn check_end(&self, state: &Self::State) -> Result<(), String>;
}

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explored {
    /// Different states.
    pub n_states: usize,
    /// Steps between them.
    pub n_steps: usize,
    /// States in which nothing can happen any more.
    pub n_ends: usize,
}

/// Visits every state that can be reached.
///
/// # Errors
///
/// The shortest way to a state that must not be, step by step.
pub fn explore<M: Model>(model: &M) -> Result<Explored, String> {
    // Each state with the number of the one from which it was reached first, and the step.
    let mut reached = HashMap::from([(model.initial(), 0)]);
    let mut states = vec![(model.initial(), 0, "begin")];
    let mut explored = Explored { n_states: 0, n_steps: 0, n_ends: 0 };
    while let Some((state, ..)) = states.get(explored.n_states).cloned() {
        let here = explored.n_states;
        explored.n_states += 1;
        let n_here = Cell::new(0);
        let mut add = |what, next: M::State| {
            n_here.set(n_here.get() + 1);
            if let Entry::Vacant(new) = reached.entry(next.clone()) {
                new.insert(states.len());
                states.push((next, here, what));
            }
        };
        model.steps(&state, &mut add);
        if n_here.get() == 0 {
            model.last_steps(&state, &mut add);
        }
        let n_here = n_here.get();
        explored.n_steps += n_here;
        explored.n_ends += usize::from(n_here == 0);
        let verdict =
            model.check(&state).and_then(|()| if n_here == 0 { model.check_end(&state) } else { Ok(()) });
        if let Err(problem) = verdict {
            let mut way = vec![format!("{problem} in {state:?}")];
            let mut at = here;
            while at != 0 {
                way.push(states[at].2.to_owned());
                at = states[at].1;
            }
            way.reverse();
            return Err(way.join("\n"));
        }
    }
    Ok(explored)
}
