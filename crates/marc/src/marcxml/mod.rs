//! MARCXML: records as `record` elements, in a `collection`, alone, or inside of other XML.

mod decode;
mod encode;
mod encoding;
mod markup;
mod splitter;

pub use decode::decode;
pub use splitter::MarcXmlSplitter;

pub(crate) use encoding::is_utf16;
