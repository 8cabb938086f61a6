//! What a member's name makes it mean in a layer (OCI image spec, "Whiteouts").

use crate::archive::Member;
use crate::error::Result;
use crate::extract::place::{clean_name, holdable};
use crate::layer::WHITEOUT;
use crate::path::RelPath;

/// Hides all that lower layers have in its directory.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Bookkeeping of aufs, of no meaning to anyone else.
const AUFS: &[u8] = b".wh..wh.";

/// Paths are as the archive spells them: links in them are not followed yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// None.
    Nothing,
    /// Lower layers have nothing in this directory.
    HideChildren(RelPath),
    /// Lower layers have nothing of this name.
    Hide(RelPath),
    /// An entry.
    Entry(RelPath),
}

impl Meaning {
    /// Of a member of a layer. `Archive` for a name that no honest writer gives.
    pub(crate) fn of(member: &Member) -> Result<Self> {
        let spelled = clean_name(member, &member.name)?;
        if spelled
            .parts()
            .any(|part| part.starts_with(AUFS) && part != OPAQUE)
        {
            return Ok(Self::Nothing);
        }
        let parent = spelled.parent().unwrap_or_default();
        if parent.parts().any(|part| part.starts_with(WHITEOUT)) {
            return Err(member.error("something below a whiteout"));
        }
        let name = spelled.name().unwrap_or_default();
        if name == OPAQUE {
            return holdable(member, parent).map(Self::HideChildren);
        }
        match name.strip_prefix(WHITEOUT) {
            None => holdable(member, spelled).map(Self::Entry),
            Some(hidden) => match parent.join(hidden) {
                Ok(hidden) => holdable(member, hidden).map(Self::Hide),
                Err(_) => Err(member.error("a whiteout that names nothing")),
            },
        }
    }
}
