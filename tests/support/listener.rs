use std::collections::BTreeMap;
use std::fmt::Debug;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// Hears of the warnings of this process, and does with each what it was told to.
pub struct Listener<F>(F);

impl<F: Fn(BTreeMap<&'static str, String>) + Send + Sync + 'static> Listener<F> {
    /// Listens from now on, until the process ends; `hear` gets the fields of an event as text.
    ///
    /// # Panics
    ///
    /// If somebody listens already.
    pub fn install(hear: F) {
        tracing::subscriber::set_global_default(Self(hear)).expect("the first listener");
    }
}

impl<F: Fn(BTreeMap<&'static str, String>) + 'static> Subscriber for Listener<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.0(fields.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
