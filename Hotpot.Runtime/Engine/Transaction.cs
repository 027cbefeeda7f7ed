using Hotpot.Runtime.Interop;

namespace Hotpot.Runtime;

/// <summary>What one of several owners is asked for: the chunks of a dataset that it owns.</summary>
/// <param name="Dataset">The dataset.</param>
/// <param name="Owner">The node.</param>
/// <param name="FailOnConflict">Refuse if another commit changed the same bytes since they were read.</param>
/// <param name="MinimumDegree">Copies that the owner must have.</param>
/// <param name="LockTimeout">Patience with pages that another commit has locked.</param>
public readonly record struct OwnerTerms(DatasetId Dataset, NodeId Owner, bool FailOnConflict, int MinimumDegree, TimeSpan LockTimeout);

/// <summary>
/// The commit node's half of a transaction: what it changes, collected and not yet anywhere else. Disposing it frees the
/// collected bytes and aborts nothing at an owner. One thread at a time may use it.
/// </summary>
public sealed unsafe class Transaction : IDisposable
{
    private readonly Engine _engine;
    private readonly TransactionHandle _handle;

    private Transaction(Engine engine, TransactionHandle handle, TransactionId id)
    {
        _engine = engine;
        _handle = handle;
        Id = id;
    }

    public TransactionId Id { get; }

    internal static Transaction Create(Engine engine)
    {
        bool referenced = false;
        engine.Handle.DangerousAddRef(ref referenced);
        nint native = 0;
        HpTransactionId id;
        HpError error = default;
        int status = TransactionInterop.Create(engine.Handle, &native, &id, &error);
        if (status != (int)HotpotStatus.Ok)
            engine.Handle.DangerousRelease();
        NativeStatus.Check(status, error, "The transaction did not begin");
        TransactionHandle handle = new(engine.Handle, native);
        return new Transaction(engine, handle, id.ToManaged());
    }

    /// <summary>
    /// Adds what was stored in these ranges of the mapping and not committed; no range means the whole mapping. Returns the
    /// number of changed bytes found.
    /// </summary>
    public long Collect(DatasetId dataset, ReadOnlySpan<ByteRange> ranges)
    {
        ulong bytes = 0;
        HpError error = default;
        fixed (ByteRange* first = ranges)
            NativeStatus.Check(
                TransactionInterop.Collect(_engine.Handle, _handle, dataset.Value, first, (uint)ranges.Length, &bytes, &error),
                error, $"The stores to dataset {dataset} could not be collected");
        return checked((long)bytes);
    }

    /// <summary>Adds explicit bytes; no mapping is needed.</summary>
    public void Write(DatasetId dataset, long offset, ReadOnlySpan<byte> bytes)
    {
        HpError error = default;
        fixed (byte* first = bytes)
            NativeStatus.Check(
                TransactionInterop.Write(_engine.Handle, _handle, dataset.Value, checked((ulong)offset), first, (ulong)bytes.Length, &error),
                error, $"{bytes.Length} bytes at {offset} of dataset {dataset} were not taken into the transaction");
    }

    /// <summary>The chunks it changes, in the order of dataset and chunk, with their owners by this node's present map.</summary>
    public TransactionPart[] Parts() => NativeList.Read<Transaction, HpTransactionPart, TransactionPart>(
        this,
        static (transaction, first, count) => TransactionInterop.Parts(transaction._engine.Handle, transaction._handle, first, count),
        static part => part.ToManaged(),
        "The parts of the transaction could not be listed");

    /// <summary>
    /// Sends the parts of the dataset that <paramref name="owner"/> owns to that owner, which keeps them until prepare or
    /// abort, or until this node's incarnation dies. Staging twice replaces.
    /// </summary>
    public ValueTask<Completion> StageAsync(DatasetId dataset, NodeId owner) => StartAsync(
        (Dataset: dataset.Value, Owner: owner.Value),
        static (transaction, to, token, now, error) =>
            TransactionInterop.Stage(transaction._engine.Handle, transaction._handle, to.Dataset, to.Owner, token, now, error));

    /// <summary>
    /// The same, and where no grant can be in the way the owner also prepares and commits. <see cref="Completion.Value"/> is 1 when it did or tried to: then status and
    /// degree are those of the commit, and PeerLost says that the outcome is to be asked for. It is 0 when the record is only kept.
    /// </summary>
    public ValueTask<Completion> CommitAtAsync(DatasetId dataset, NodeId owner, bool failOnConflict, int minimumDegree, TimeSpan timeout) => StartAsync(
        (Dataset: dataset.Value, Owner: owner.Value, Flags: failOnConflict ? OwnerInterop.PrepareFailOnConflict : 0,
            MinimumDegree: checked((uint)minimumDegree), TimeoutMs: Engine.Milliseconds(timeout)),
        static (transaction, to, token, now, error) => TransactionInterop.CommitAt(
            transaction._engine.Handle, transaction._handle, to.Dataset, to.Owner, to.Flags, to.MinimumDegree, to.TimeoutMs, token, now, error));

    /// <summary>
    /// Stages the transaction at all these owners, which must be all it has, and prepares it: on this node, whose grants the caller has seen to, and on others where no grant can be in
    /// the way. Completes when all have answered (<see cref="Answers"/>). No order is kept, so two transactions may wait for each other: give them little time.
    /// </summary>
    public ValueTask<Completion> PrepareTogetherAsync(OwnerTerms[] owners) => StartAsync(
        Array.ConvertAll(owners, static terms => new HpTransactionOwner
        {
            Dataset = terms.Dataset.Value,
            Owner = terms.Owner.Value,
            Flags = terms.FailOnConflict ? OwnerInterop.PrepareFailOnConflict : 0,
            MinimumDegree = checked((uint)terms.MinimumDegree),
            TimeoutMs = Engine.Milliseconds(terms.LockTimeout),
        }),
        static (transaction, to, token, now, error) =>
        {
            fixed (HpTransactionOwner* first = to)
                return TransactionInterop.PrepareTogether(transaction._engine.Handle, transaction._handle, first, (uint)to.Length, token, now, error);
        });

    /// <summary>
    /// Commits at the owners of the last <see cref="PrepareTogetherAsync"/>, all of which must have prepared. Completes when all have answered. An answer other than Ok says nothing of the
    /// outcome, which is to be asked for.
    /// </summary>
    public ValueTask<Completion> CommitTogetherAsync() => StartAsync(
        0,
        static (transaction, _, token, now, error) => TransactionInterop.CommitTogether(transaction._engine.Handle, transaction._handle, token, now, error));

    /// <summary>
    /// What the owners said to the last of these two calls, in their order. <see cref="Completion.Value"/> is 1 when one prepared or committed, or tried to, and 0 when it only keeps the
    /// record, or not even that.
    /// </summary>
    public Completion[] Answers() => NativeList.Read<Transaction, HpTransactionAnswer, Completion>(
        this,
        static (transaction, first, count) => TransactionInterop.Answers(transaction._engine.Handle, transaction._handle, first, count),
        static answer => answer.ToManaged(),
        "The answers of the transaction's owners could not be listed");

    private delegate int Start<TArguments>(Transaction transaction, TArguments arguments, ulong token, HpCompletion* now, HpError* error);

    private ValueTask<Completion> StartAsync<TArguments>(TArguments arguments, Start<TArguments> start)
    {
        PendingOperation? operation = _engine.Rent();
        if (operation is null)
            return Engine.Closed();
        ValueTask<Completion> task = operation.Task;
        HpError error = default;
        HpCompletion now;
        int status = start(this, arguments, operation.Token, &now, &error);
        return _engine.Started(operation, task, status, status == (int)HotpotStatus.Ok ? null : error.Text(), now);
    }

    public void Dispose() => _handle.Dispose();
}
