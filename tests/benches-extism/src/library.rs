//! What is used of Extism's C interface (`extism.h` of Extism 1).

use libloading::Symbol;
use std::ffi::{CStr, OsStr, c_char, c_void};
use std::ptr::{null_mut, slice_from_raw_parts};

type CompileFn = unsafe extern "C" fn(
    *const u8,
    u64,
    *mut *const c_void,
    u64,
    bool,
    *mut *mut c_char,
) -> *mut c_void;
type StartFn = unsafe extern "C" fn(*mut c_void, *mut *mut c_char) -> *mut c_void;
type CallFn = unsafe extern "C" fn(*mut c_void, *const c_char, *const u8, u64) -> i32;
type LengthFn = unsafe extern "C" fn(*mut c_void) -> u64;
type DataFn = unsafe extern "C" fn(*mut c_void) -> *const u8;
type FreeFn = unsafe extern "C" fn(*mut c_void);

/// The loaded library.
pub struct Library(libloading::Library);

impl Library {
    /// Loads it.
    pub fn load(path: &OsStr) -> Result<Self, libloading::Error> {
        // SAFETY: it is Extism's release, whose initialisers are those of a Rust library.
        unsafe { libloading::Library::new(path) }.map(Self)
    }

    fn symbol<T>(&self, name: &str) -> Result<Symbol<'_, T>, libloading::Error> {
        // SAFETY: the types above are those of extism.h.
        unsafe { self.0.get(name.as_bytes()) }
    }

    /// Compiles a plugin, given by a manifest.
    pub fn compile(&self, manifest: &[u8]) -> Result<Compiled<'_>, Box<dyn std::error::Error>> {
        let compile: Symbol<'_, CompileFn> = self.symbol("extism_compiled_plugin_new")?;
        let mut error = null_mut();
        // SAFETY: the manifest outlives the call; no host functions are given.
        let compiled = unsafe {
            compile(
                manifest.as_ptr(),
                manifest.len() as u64,
                null_mut(),
                0,
                false,
                &raw mut error,
            )
        };
        if compiled.is_null() {
            return Err(said(error).into());
        }
        Ok(Compiled {
            compiled,
            start: self.symbol("extism_plugin_new_from_compiled")?,
            call: self.symbol("extism_plugin_call")?,
            length: self.symbol("extism_plugin_output_length")?,
            data: self.symbol("extism_plugin_output_data")?,
            free: self.symbol("extism_plugin_free")?,
            free_compiled: self.symbol("extism_compiled_plugin_free")?,
        })
    }
}

/// What an error message says; it stays allocated, the program ends with it.
fn said(error: *mut c_char) -> String {
    if error.is_null() {
        return "Extism gave no reason".to_owned();
    }
    // SAFETY: Extism gives a string that ends with a zero.
    unsafe { CStr::from_ptr(error) }
        .to_string_lossy()
        .into_owned()
}

/// A compiled plugin.
pub struct Compiled<'l> {
    compiled: *mut c_void,
    start: Symbol<'l, StartFn>,
    call: Symbol<'l, CallFn>,
    length: Symbol<'l, LengthFn>,
    data: Symbol<'l, DataFn>,
    free: Symbol<'l, FreeFn>,
    free_compiled: Symbol<'l, FreeFn>,
}

impl Compiled<'_> {
    /// A plugin that can be called.
    pub fn start(&self) -> Result<Plugin<'_>, String> {
        let mut error = null_mut();
        // SAFETY: `compiled` is not null and was not freed.
        let plugin = unsafe { (self.start)(self.compiled, &raw mut error) };
        if plugin.is_null() {
            return Err(said(error));
        }
        Ok(Plugin { of: self, plugin })
    }
}

impl Drop for Compiled<'_> {
    fn drop(&mut self) {
        // SAFETY: it is freed once, and no plugin borrows it any more.
        unsafe { (self.free_compiled)(self.compiled) };
    }
}

/// A plugin.
pub struct Plugin<'c> {
    of: &'c Compiled<'c>,
    plugin: *mut c_void,
}

impl Plugin<'_> {
    /// Calls a function and copies its output, as a host that uses it does; gives its length.
    pub fn call(&mut self, function: &CStr, input: &[u8]) -> Result<usize, String> {
        // SAFETY: the plugin is alive, the input outlives the call, and the output is Extism's
        // until the next call.
        unsafe {
            let code = (self.of.call)(
                self.plugin,
                function.as_ptr(),
                input.as_ptr(),
                input.len() as u64,
            );
            if code != 0 {
                return Err(format!("Extism's call ended with {code}"));
            }
            let length =
                usize::try_from((self.of.length)(self.plugin)).map_err(|e| e.to_string())?;
            let data = (self.of.data)(self.plugin);
            if length == 0 || data.is_null() {
                return Ok(length);
            }
            let output = (*slice_from_raw_parts(data, length)).to_vec();
            Ok(std::hint::black_box(output).len())
        }
    }
}

impl Drop for Plugin<'_> {
    fn drop(&mut self) {
        // SAFETY: it is freed once.
        unsafe { (self.of.free)(self.plugin) };
    }
}
