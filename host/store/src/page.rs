//! Long lists in pages.

use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::id::is_id;
use crate::journal::check_limit;

/// The most items that one page holds.
pub const PAGE_LIMIT: u32 = 1000;

/// Which page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PageRequest {
    /// How many items at most, 1 to [`PAGE_LIMIT`].
    pub limit: u32,
    /// [`Page::next`] of the page before; none for the first page.
    pub cursor: Option<String>,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self {
            limit: 100,
            cursor: None,
        }
    }
}

impl PageRequest {
    /// The limit, checked.
    pub(crate) fn checked_limit(&self) -> Result<usize, StoreError> {
        check_limit(self.limit)?;
        Ok(usize::try_from(self.limit).unwrap_or(usize::MAX))
    }

    /// The cursor of a list that is ordered by a number.
    pub(crate) fn number(&self) -> Result<Option<i64>, StoreError> {
        self.cursor
            .as_deref()
            .map(|cursor| {
                let number = cursor.parse().ok().filter(|number: &i64| *number >= 0);
                number.ok_or_else(foreign_cursor)
            })
            .transpose()
    }

    /// The cursor of a list that is ordered by ids with this prefix (`run`, `tok`, …).
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for what is no such id.
    pub fn id(&self, prefix: &str) -> Result<Option<&str>, StoreError> {
        match self.cursor.as_deref() {
            Some(cursor) if !is_id(prefix, cursor) => Err(foreign_cursor()),
            cursor => Ok(cursor),
        }
    }
}

/// The cursor cannot be of this list.
pub(crate) fn foreign_cursor() -> StoreError {
    StoreError::invalid(
        "cursor",
        "it was not given out by this list; send the `next` of a page as it is",
    )
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// The next page's cursor; none at the end.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A page of at most `limit` of `items`, which were asked for one too many.
    pub(crate) fn cut(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }

    /// The same page of other items.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(change).collect(),
            next: self.next,
        }
    }
}
