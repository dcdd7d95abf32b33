//! Bindings generated from `wit/`: the interfaces that this host provides beside WASI.

#![allow(missing_docs, unreachable_pub)]

wasmtime::component::bindgen!({
    path: "wit",
    world: "runnel:host/imports",
    imports: {
        // These calls block the whole instance of the guest, as on Spin.
        "wasi:keyvalue": async,
        "spin:key-value/key-value.[method]store.get": trappable,
        "spin:key-value/key-value.[method]store.get-keys": trappable,
    },
    with: {
        "spin:key-value/key-value.store": super::key_value::OpenStore,
        "wasi:keyvalue/store.bucket": super::key_value::OpenStore,
        "wasi:keyvalue/atomics.cas": super::key_value::PendingSwap,
    },
});
