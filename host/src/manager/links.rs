//! Moves the links of what is ready to serve. The link says what runs: a new version without it would be gone at the next
//! start. So where a link can't be moved, the version does not serve, and the pass plans again. Does not decide which version
//! a link leads to.

use std::fs;
use std::path::Path;

use plugin_record::printable;

use super::open::Ready;
use super::state::Manager;
use crate::directory::links::{link_command, point};
use crate::directory::survey::Survey;
use crate::status::change::Change;
use crate::unavailable::Unavailable;

impl Manager {
    /// Moves all links that are to be moved. Tells whether that went well: at a start, what has no link serves all the same, and
    /// so does what serves already.
    pub(super) fn link_all(&mut self, survey: &Survey, ready: &mut [Ready<'_>], is_start: bool) -> bool {
        let mut is_complete = true;
        for ready in ready.iter_mut().filter(|ready| ready.claim.candidate.takes_link) {
            let candidate = &ready.claim.candidate;
            let group = survey.group(&candidate.plugin, &candidate.soname);
            let Some(file) = group.and_then(|group| group.file_name(ready.key.digest)) else {
                continue;
            };
            let link = survey.directory.join(&candidate.soname);
            match self.link(&link, &file, candidate.is_linked) {
                // Should it be gone in the next pass, it was taken away anew.
                Ok(()) => ready.has_taken_link = true,
                Err(reason) => {
                    let soname = candidate.soname.clone();
                    let served = self.sonames.served(&soname);
                    let serves = served.is_some_and(|served| served.key.digest == ready.key.digest);
                    self.note_unavailable(&soname, Some(ready.claim.admitted.record()), reason);
                    if !is_start && !serves {
                        self.tried.defer(ready.key.digest); // it is still new
                        is_complete = false;
                    }
                }
            }
        }
        is_complete
    }

    fn link(&self, link: &Path, file: &str, was_there: bool) -> Result<(), Unavailable> {
        if fs::read_link(link).is_ok_and(|target| target == Path::new(file)) {
            return Ok(()); // moved in the round before
        }
        point(link, file).map_err(|error| Unavailable::link(link_command(link, file), &error))?;
        let (link, to) = (printable(link.display().to_string()), file.to_owned());
        self.status.record(match was_there {
            true => Change::LinkMoved { link, to },
            false => Change::LinkCreated { link, to },
        });
        Ok(())
    }
}
