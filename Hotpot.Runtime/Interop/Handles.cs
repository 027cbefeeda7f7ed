using System.Runtime.InteropServices;

namespace Hotpot.Runtime.Interop;

/// <summary>hp_engine*. Each call in flight holds a reference, so the engine is destroyed after the last one returned.</summary>
internal sealed class EngineHandle : SafeHandle
{
    public EngineHandle(nint engine)
        : base(0, ownsHandle: true) => SetHandle(engine);

    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        EngineInterop.Destroy(handle);
        return true;
    }
}

/// <summary>
/// hp_tx*. It takes over a reference to the engine's handle from its maker, because native code frees a transaction
/// through its engine.
/// </summary>
internal sealed class TransactionHandle : SafeHandle
{
    private readonly EngineHandle _engine;

    public TransactionHandle(EngineHandle referencedEngine, nint transaction)
        : base(0, ownsHandle: true)
    {
        _engine = referencedEngine;
        SetHandle(transaction);
    }

    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        TransactionInterop.Destroy(_engine.DangerousGetHandle(), handle);
        _engine.DangerousRelease();
        return true;
    }
}
