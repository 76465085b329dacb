//! A layer above the `unix` VFS of `SQLite` (<https://www.sqlite.org/vfs.html>), which coalesces the writes of a
//! connection into fewer calls ([`super::coalesced_writes`]). Everything else passes through.
//!
//! This is the only file with `unsafe`. Its invariants:
//!
//! - `SQLite` calls the methods of a file one at a time, with a pointer to the memory that `open` filled, from its
//!   opening until its closing. The connections that use this layer are used by one thread at a time.
//! - The memory of a file is a [`File`], followed by the file of the VFS below; `szOsFile` asks for both.
//! - The log of a database is opened after it and closed before it, so the database owns what both share.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;

use rusqlite::Connection;
use rusqlite::ffi::{self, sqlite3_file, sqlite3_io_methods, sqlite3_vfs};
use rustix::io::Errno;

use super::coalesced_writes::{Below, FileResult, Writes};
use super::log_extension;
use super::wal_index::{REGION, REGION_OCTETS, find_certain_page};

#[cfg(test)]
pub(super) mod tests;

/// Name of the layer, and of the VFS below it.
const NAME: &CStr = c"gathering";
const BELOW: &CStr = c"unix";

/// Number of the writer's lock among the locks of the index of the log.
const WRITE_LOCK: c_int = 0;

/// The VFS below. `SQLite` keeps it for as long as the process lives, and any thread may call it.
struct Registered(*mut sqlite3_vfs);

// SAFETY: a VFS that is registered is never changed or freed, and its methods may be called by any thread.
unsafe impl Send for Registered {}
// SAFETY: as above.
unsafe impl Sync for Registered {}

static REGISTERED: OnceLock<Option<Registered>> = OnceLock::new();

/// Registers the layer, and returns its name; None where `SQLite` has no `unix` VFS, or no memory for another one.
pub(super) fn register() -> Option<&'static CStr> {
    let registered = REGISTERED.get_or_init(|| {
        // SAFETY: the name ends with a NUL octet.
        let below = unsafe { ffi::sqlite3_vfs_find(BELOW.as_ptr()) };
        // SAFETY: if it was found, it points to a VFS that is never freed.
        let described = unsafe { below.as_ref() }?;
        let layer = Box::new(sqlite3_vfs {
            szOsFile: described.szOsFile + c_int::try_from(size_of::<File>()).ok()?,
            zName: NAME.as_ptr(),
            pNext: ptr::null_mut(),
            xOpen: Some(open),
            // The other methods and what they use are those of the VFS below, which do not look at the name.
            ..*described
        });
        // SAFETY: the layer and its name live as long as the process.
        let code = unsafe { ffi::sqlite3_vfs_register(Box::into_raw(layer), 0) };
        (code == ffi::SQLITE_OK).then_some(Registered(below))
    });
    registered.as_ref().map(|_| NAME)
}

/// Extends the log of a connection that holds the lock of the writer by one step, unless it has this length. Returns
/// true if it is still shorter, and has grown.
pub(super) fn extend_log(connection: &Connection, length: u64) -> rusqlite::Result<bool> {
    let mut log: *mut sqlite3_file = ptr::null_mut();
    let operation = ffi::SQLITE_FCNTL_JOURNAL_POINTER;
    // SAFETY: the connection is open, and this operation stores a pointer to a file that it keeps open.
    let code = unsafe {
        let argument = (&raw mut log).cast();
        ffi::sqlite3_file_control(connection.handle(), c"main".as_ptr(), operation, argument)
    };
    // SAFETY: the file is a log or journal of the connection, perhaps one that is not open and has no methods.
    let is_ours = !log.is_null() && unsafe { ptr::eq((*log).pMethods, &raw const METHODS) };
    if code != ffi::SQLITE_OK || !is_ours {
        return Ok(false);
    }
    // SAFETY: a file with these methods was filled by `open`, and its connection is used by this thread only.
    let (_, below, _) = unsafe { parts(log) };
    log_extension::take_step(&below, length)
        .map_err(|code| rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
}

/// A database or its log, as `SQLite` sees it.
#[repr(C)]
struct File {
    class: sqlite3_file,
    is_log: bool,
    below: BelowFile,
    /// Shared by a database and its log, and owned by the database.
    writes: *mut Writes,
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    // Version 3 would add memory-mapped files.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Opens a file: a database and a log with this layer, and any other without it.
unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let Some(Some(Registered(vfs))) = REGISTERED.get() else {
        return ffi::SQLITE_CANTOPEN;
    };
    // SAFETY: the VFS was registered with a method to open files.
    let Some(open_below) = (unsafe { (**vfs).xOpen }) else {
        return ffi::SQLITE_CANTOPEN;
    };
    let is_log = flags & ffi::SQLITE_OPEN_WAL != 0;
    let writes = if is_log {
        // SAFETY: SQLite opens a log with the name that it made for it in the memory of the connection.
        let database = unsafe { ffi::sqlite3_database_file_object(name) };
        // SAFETY: the database of a log is open.
        let is_ours = unsafe { ptr::eq((*database).pMethods, &raw const METHODS) };
        // SAFETY: a file with these methods was filled by this function.
        let shared = is_ours.then(|| unsafe { parts(database) });
        shared.map_or(ptr::null_mut(), |(_, file, writes)| {
            if file.has_whole_pages() {
                ptr::from_mut(writes)
            } else {
                ptr::null_mut()
            }
        })
    } else if flags & ffi::SQLITE_OPEN_MAIN_DB != 0 {
        Box::into_raw(Box::default())
    } else {
        ptr::null_mut()
    };
    if writes.is_null() {
        // SAFETY: the same arguments; the memory is large enough for a file of the VFS below alone.
        return unsafe { open_below(*vfs, name, file, flags, out_flags) };
    }
    // SAFETY: the memory is as large as `szOsFile`, so that a file of the VFS below has room after `File`. The size
    // of `File` is a multiple of its alignment, which is that of a pointer, as it is for the file below.
    let below: *mut sqlite3_file = unsafe { file.cast::<File>().add(1).cast() };
    // SAFETY: the same arguments, with the memory after `File`.
    let code = unsafe { open_below(*vfs, name, below, flags, out_flags) };
    let ours = File {
        // SQLite closes a file that has methods, even one that was not opened.
        class: sqlite3_file {
            pMethods: if code == ffi::SQLITE_OK {
                &raw const METHODS
            } else {
                ptr::null()
            },
        },
        is_log,
        below: BelowFile(below),
        writes,
    };
    // SAFETY: the memory of the file is ours to fill.
    unsafe { file.cast::<File>().write(ours) };
    if code != ffi::SQLITE_OK && !is_log {
        // SAFETY: made above, and used by nothing else.
        drop(unsafe { Box::from_raw(writes) });
    }
    code
}

/// The file of the VFS below.
#[derive(Clone, Copy)]
struct BelowFile(*mut sqlite3_file);

/// Calls a method of a file of the VFS below.
macro_rules! below {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        let file: *mut sqlite3_file = $file.0;
        // SAFETY: the file is open, so it has methods, and the arguments are those that SQLite gave to this layer,
        // or memory of this layer of the length that is given with it.
        unsafe {
            match (*(*file).pMethods).$method {
                Some(method) => method(file $(, $argument)*),
                None => ffi::SQLITE_IOERR,
            }
        }
    }};
}

impl Below for BelowFile {
    fn write(&self, octets: &[u8], offset: u64) -> FileResult {
        #[cfg(test)]
        tests::faults::pass(octets, |part| {
            below!(
                self,
                xWrite,
                part.as_ptr().cast(),
                length(part),
                place(offset)
            )
        })?;
        let code = below!(
            self,
            xWrite,
            octets.as_ptr().cast(),
            length(octets),
            place(offset)
        );
        outcome_of_write(code, || self.last_error())
    }

    fn read(&self, octets: &mut [u8], offset: u64) -> FileResult {
        let length = length(octets);
        outcome(below!(
            self,
            xRead,
            octets.as_mut_ptr().cast(),
            length,
            place(offset)
        ))
    }

    fn length(&self) -> Result<u64, c_int> {
        let mut length = 0;
        outcome(below!(self, xFileSize, &raw mut length))?;
        Ok(u64::try_from(length).unwrap_or(0))
    }

    fn sync(&self) -> FileResult {
        #[cfg(test)]
        tests::faults::pass_sync()?;
        outcome(below!(self, xSync, ffi::SQLITE_SYNC_FULL))
    }
}

fn outcome(code: c_int) -> FileResult {
    if code == ffi::SQLITE_OK {
        Ok(())
    } else {
        Err(code)
    }
}

/// The outcome of a write, given the error number of the system. A quota that is used up counts as a full disk;
/// `SQLite` reports it like a failing device.
fn outcome_of_write(code: c_int, last_error: impl FnOnce() -> c_int) -> FileResult {
    if code == ffi::SQLITE_IOERR_WRITE && last_error() == Errno::DQUOT.raw_os_error() {
        return Err(ffi::SQLITE_FULL);
    }
    outcome(code)
}

fn code(outcome: FileResult) -> c_int {
    outcome.err().unwrap_or(ffi::SQLITE_OK)
}

fn length(octets: &[u8]) -> c_int {
    c_int::try_from(octets.len()).unwrap_or(c_int::MAX)
}

fn place(offset: u64) -> ffi::sqlite3_int64 {
    offset.try_into().unwrap_or(ffi::sqlite3_int64::MAX)
}

/// Returns the parts of a file: true if it is a log, the file below, and the kept writes.
///
/// # Safety
/// `SQLite` called a method of the file, and nothing else uses the kept writes meanwhile.
unsafe fn parts<'a>(file: *mut sqlite3_file) -> (bool, BelowFile, &'a mut Writes) {
    // SAFETY: a file with these methods was filled by `open`, and the database that owns what is shared is open.
    unsafe {
        let ours = &*file.cast::<File>();
        (ours.is_log, ours.below, &mut *ours.writes)
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite called it.
    let (is_log, below, writes) = unsafe { parts(file) };
    if is_log {
        writes.release_log();
    } else {
        // SAFETY: made by `open`, and the log, which shares it, is closed.
        drop(unsafe { Box::from_raw(ptr::from_mut(writes)) });
    }
    let code = below!(below, xClose);
    // SAFETY: the memory still belongs to the file; SQLite does not call a file without methods.
    unsafe { (*file).pMethods = ptr::null() };
    code
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    octets: *mut c_void,
    amount: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite called it.
    let (is_log, below, writes) = unsafe { parts(file) };
    let (Ok(amount), Ok(offset)) = (usize::try_from(amount), u64::try_from(offset)) else {
        return ffi::SQLITE_IOERR_READ;
    };
    // SAFETY: SQLite gives memory of this length, which may be uninitialized, so it is zeroed first.
    let octets = unsafe {
        octets.cast::<u8>().write_bytes(0, amount);
        std::slice::from_raw_parts_mut(octets.cast::<u8>(), amount)
    };
    code(if is_log {
        writes.read_log(&below, octets, offset)
    } else {
        writes.read_database(&below, octets, offset)
    })
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    octets: *const c_void,
    amount: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite called it.
    let (is_log, below, writes) = unsafe { parts(file) };
    let (Ok(amount), Ok(offset)) = (usize::try_from(amount), u64::try_from(offset)) else {
        return ffi::SQLITE_IOERR_WRITE;
    };
    // SAFETY: SQLite gives initialized memory of this length.
    let octets = unsafe { std::slice::from_raw_parts(octets.cast::<u8>(), amount) };
    code(if is_log {
        writes.write_log(&below, octets, offset)
    } else {
        writes.write_page(&below, octets, offset)
    })
}

/// Writes what is kept for this file.
unsafe fn flush(file: *mut sqlite3_file) -> FileResult {
    // SAFETY: SQLite called a method of it.
    let (is_log, below, writes) = unsafe { parts(file) };
    if is_log {
        writes.flush_log(&below)
    } else {
        writes.flush_database(&below)
    }
}

unsafe extern "C" fn file_control(
    file: *mut sqlite3_file,
    operation: c_int,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: SQLite called it.
    let (is_log, below, writes) = unsafe { parts(file) };
    // A connection that keeps all locks has an index of its own.
    if !is_log && operation == ffi::SQLITE_FCNTL_CKPT_START && writes.has_index {
        writes.begin_copy(find_certain_page(|region| below.region(region)));
    }
    // SQLite ignores the outcome. The pages up to the certain one were written, or failed, before. If later pages
    // are left and cannot be written, the process aborts, since SQLite would count them as copied.
    if !is_log && operation == ffi::SQLITE_FCNTL_CKPT_DONE && writes.end_copy(&below).is_err() {
        std::process::abort();
    }
    below!(below, xFileControl, operation, argument)
}

impl BelowFile {
    /// True if `SQLite` writes each page of a log in one call. Otherwise a part of a page can be as short as a
    /// header.
    fn has_whole_pages(self) -> bool {
        let characteristics = below!(self, xDeviceCharacteristics);
        characteristics & ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE != 0
    }

    /// Error number of the last system call for this file that failed.
    fn last_error(self) -> c_int {
        let mut number: c_int = 0;
        let argument = (&raw mut number).cast();
        let operation = ffi::SQLITE_FCNTL_LAST_ERRNO;
        let code = below!(self, xFileControl, operation, argument);
        if code == ffi::SQLITE_OK { number } else { 0 }
    }

    /// A region of the index of the log, if it is there.
    fn region<'a>(self, region: usize) -> Option<&'a [AtomicU32]> {
        let mut memory = ptr::null_mut();
        let region = c_int::try_from(region).ok()?;
        let code = below!(self, xShmMap, region, REGION_OCTETS, 0, &raw mut memory);
        if code != ffi::SQLITE_OK || memory.is_null() {
            return None;
        }
        // SAFETY: a region has this size, starts at the boundary of a memory page, and stays mapped until the log
        // is closed, which is after the checkpoint. A writer may change it meanwhile, word by word; the old value
        // and the new one are equally good here (`find_certain_page`).
        Some(unsafe { std::slice::from_raw_parts(memory.cast::<AtomicU32>(), REGION) })
    }
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    memory: *mut *mut c_void,
) -> c_int {
    // SAFETY: SQLite called it.
    let (_, below, writes) = unsafe { parts(file) };
    writes.has_index = true;
    below!(below, xShmMap, region, size, extend, memory)
}

unsafe extern "C" fn shm_lock(
    file: *mut sqlite3_file,
    offset: c_int,
    amount: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: SQLite called it.
    let (_, below, writes) = unsafe { parts(file) };
    let is_of_writer = offset == WRITE_LOCK && flags & ffi::SQLITE_SHM_EXCLUSIVE != 0;
    if is_of_writer && flags & ffi::SQLITE_SHM_UNLOCK != 0 {
        writes.release_log();
    }
    let code = below!(below, xShmLock, offset, amount, flags);
    if is_of_writer && flags & ffi::SQLITE_SHM_LOCK != 0 && code == ffi::SQLITE_OK {
        writes.take_log();
    }
    code
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: SQLite called it.
    let (_, below, writes) = unsafe { parts(file) };
    // The index would announce frames that are not written. It is not valid yet, so its next reader recovers it
    // from the log, which lacks the commit. No version of SQLite that we know gets here.
    if writes.has_kept_frames() {
        std::process::abort();
    }
    // SAFETY: the file is open, so it has methods.
    if let Some(method) = unsafe { (*(*below.0).pMethods).xShmBarrier } {
        // SAFETY: as above.
        unsafe { method(below.0) };
    }
}

/// Defines a method that passes its call through; with `after flush`, it first writes what is kept.
macro_rules! pass {
    (after flush: $name:ident, $method:ident $(, $argument:ident: $kind:ty)*) => {
        unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $argument: $kind)*) -> c_int {
            // SAFETY: SQLite called it.
            let (outcome, below) = unsafe { (flush(file), parts(file).1) };
            match outcome {
                Ok(()) => below!(below, $method $(, $argument)*),
                Err(code) => code,
            }
        }
    };
    ($name:ident, $method:ident $(, $argument:ident: $kind:ty)*) => {
        unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $argument: $kind)*) -> c_int {
            // SAFETY: SQLite called it.
            let (_, below, _) = unsafe { parts(file) };
            below!(below, $method $(, $argument)*)
        }
    };
}

pass!(after flush: truncate, xTruncate, size: ffi::sqlite3_int64);
pass!(after flush: sync, xSync, flags: c_int);
pass!(after flush: file_size, xFileSize, size: *mut ffi::sqlite3_int64);
pass!(lock, xLock, level: c_int);
pass!(unlock, xUnlock, level: c_int);
pass!(check_reserved_lock, xCheckReservedLock, is_reserved: *mut c_int);
pass!(sector_size, xSectorSize);
pass!(device_characteristics, xDeviceCharacteristics);
pass!(shm_unmap, xShmUnmap, delete: c_int);
