//! Whether the kernel killed for want of memory.
