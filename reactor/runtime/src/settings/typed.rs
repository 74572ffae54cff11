//! Values of the kinds that programs have, taken out of the layers. What was understood is kept, for
//! `--check-config`.

use std::ops::RangeBounds;
use std::str::FromStr;
use std::time::Duration;

use log::LevelFilter;

use super::characters::doubt;
use super::{Setting, Settings, Warning, values};

impl Settings {
    /// A whole number within a range.
    pub fn number<T>(&mut self, setting: &'static Setting, range: impl RangeBounds<T>) -> Option<T>
    where
        T: FromStr + PartialOrd + ToString,
    {
        let number = self.require(setting, |text| values::number(text, range));
        self.understand(setting, number, ToString::to_string)
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, setting: &'static Setting) -> Option<bool> {
        let flag = self.require(setting, values::boolean);
        self.understand(setting, flag, ToString::to_string)
    }

    /// A span of time within a range.
    pub fn span(
        &mut self,
        setting: &'static Setting,
        range: impl RangeBounds<Duration>,
    ) -> Option<Duration> {
        let parse = |text: &str| values::duration(text).filter(|span| range.contains(span));
        let span = self.require_or_hint(setting, parse, values::hint_of_span);
        self.understand(setting, span, |span| values::write_span(*span))
    }

    /// A number of bytes within a range, of what is held in memory.
    pub fn size(
        &mut self,
        setting: &'static Setting,
        range: impl RangeBounds<usize>,
    ) -> Option<usize> {
        let parse = |text: &str| values::bytes(text).filter(|size| range.contains(size));
        let size = self.require_or_hint(setting, parse, values::hint_of_size);
        self.understand(setting, size, |size| values::write_size(*size as u64))
    }

    /// A number of bytes within a range, of what stands on disk.
    pub fn large_size(
        &mut self,
        setting: &'static Setting,
        range: impl RangeBounds<u64>,
    ) -> Option<u64> {
        let parse = |text: &str| values::large_bytes(text).filter(|size| range.contains(size));
        let size = self.require_or_hint(setting, parse, values::hint_of_size);
        self.understand(setting, size, |size| values::write_size(*size))
    }

    /// A log level.
    pub fn level(&mut self, setting: &'static Setting) -> Option<LevelFilter> {
        let level = self.require(setting, values::level);
        self.understand(setting, level, |level| values::write_level(*level).to_owned())
    }

    /// A text that is taken as it is, blanks and quotation marks included: a path, a name.
    pub fn text(
        &mut self,
        setting: &'static Setting,
        fits: impl FnOnce(&str) -> bool,
    ) -> Option<String> {
        let text = self.require(setting, |text| values::text(text).filter(|text| fits(text)))?;
        if let Some(reason) = doubt(&text) {
            let (place, value) = (self.place(setting), text.clone());
            self.warnings.push(Warning::Doubtful { place, value, reason });
        }
        Some(text)
    }

    /// What was made of a value, for `--check-config`.
    pub fn read_as(&mut self, setting: &'static Setting, text: String) {
        self.understood.insert(setting.key, text);
    }

    fn understand<T>(
        &mut self,
        setting: &'static Setting,
        value: Option<T>,
        write: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        let value = value?;
        self.read_as(setting, write(&value));
        Some(value)
    }
}
