//! iceoryx2: a publisher that writes each frame into a slice that it is lent, and a subscriber that sums it there.

use super::publish::{Answers, N, Side as PublishSide, resume};
use crate::bare::{Bare, Role, die_with_parent, spin_until};
use crate::row::Skipped;
use iceoryx2::node::{Node, NodeBuilder};
use iceoryx2::port::publisher::Publisher;
use iceoryx2::service::ipc::Service;
use iceoryx2::service::port_factory::publish_subscribe::PortFactory;
use ndarray::{Array1, ArrayView1};

/// Sums each frame; arguments: the memory for answers, the name of the service.
pub(crate) const SUM: Role = Role { name: "iceoryx2-sum-frames", play };

fn failed(error: impl std::fmt::Display) -> Skipped {
    Skipped(error.to_string())
}

fn service(node: &Node<Service>, name: &str) -> Result<PortFactory<Service, [f64], ()>, Skipped> {
    // It prints warnings about its configuration to stdout, which is a role's pipe.
    iceoryx2::prelude::set_log_level(iceoryx2::prelude::LogLevel::Error);
    let name = name.try_into().map_err(failed)?;
    node.service_builder(&name).publish_subscribe::<[f64]>().open_or_create().map_err(failed)
}

/// The publisher, and the process that sums.
pub(super) struct Side {
    publisher: Publisher<Service, [f64], ()>,
    _node: Node<Service>,
    answers: Answers,
    n: u32,
    /// Ends by itself, so that it leaves nothing in the file system.
    reader: Option<Bare>,
}

impl Side {
    pub(super) fn start(n: usize) -> Result<Self, Skipped> {
        let node = NodeBuilder::new().create::<Service>().map_err(failed)?;
        let name = super::name("frames");
        let publisher =
            service(&node, &name)?.publisher_builder().initial_max_slice_len(n).create().map_err(failed)?;
        let answers = Answers::new()?;
        let mut reader = Bare::start(SUM, &[answers.path(), name])?;
        reader.wait_for_answer()?;
        Ok(Self { publisher, _node: node, answers, n: 0, reader: Some(reader) })
    }

    fn send(&mut self, frame: &[f64]) -> Result<(), Skipped> {
        let sample = self.publisher.loan_slice_uninit(frame.len()).map_err(failed)?;
        sample.write_from_slice(frame).send().map_err(failed)?;
        Ok(())
    }
}

impl PublishSide for Side {
    fn publish(&mut self, frame: &Array1<f64>) -> Result<f64, Skipped> {
        self.send(frame.as_slice().expect("one axis, as it was made"))?;
        self.n += 1;
        Ok(self.answers.wait(self.n))
    }

    fn reader_pid(&self) -> u32 {
        self.reader.as_ref().expect("it is there until this is dropped").pid()
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        resume(self.reader_pid());
        // A frame of another length tells the reader to end.
        let _ = self.send(&[0.0]);
        let _ = self.reader.take().map(Bare::finish);
    }
}

fn play(args: &[String]) -> Result<(), Skipped> {
    die_with_parent();
    let [answers, name] = args else { return Err(Skipped("two arguments are wanted".into())) };
    let answers = Answers::open(answers)?;
    let node = NodeBuilder::new().create::<Service>().map_err(failed)?;
    let subscriber = service(&node, name)?.subscriber_builder().create().map_err(failed)?;
    crate::bare::Parent::new()?.answer()?;
    let mut n = 0;
    loop {
        let mut received = Ok(None);
        spin_until(|| {
            received = subscriber.receive();
            !matches!(received, Ok(None))
        });
        let sample = received.map_err(failed)?.ok_or_else(|| Skipped("nothing was received".into()))?;
        if sample.len() != N {
            return Ok(());
        }
        n += 1;
        answers.answer(n, ArrayView1::from(&*sample).sum());
    }
}
