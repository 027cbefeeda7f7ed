using System.Reflection;
using Hotpot.Grains;
using Hotpot.Grains.Commit;
using Hotpot.Grains.Node;
using Hotpot.Runtime;
using Hotpot.Tests.Runtime;

namespace Hotpot.Tests.Clients;

/// <summary>A node whose engine is real and whose cluster is this process: it owns every chunk, so a commit needs no grain.</summary>
internal sealed class FakeNode(Engine engine) : IHotpotNode, ICommitter, IAcquirer
{
    public NodeIdentity Identity { get; } = new() { Node = engine.NodeId, Incarnation = engine.Incarnation, FabricAddress = engine.Info.FabricAddress };

    public Engine Engine => engine;

    public ICommitter Committer => this;

    public IAcquirer Acquirer => this;

    public Task Ready { get; init; } = Task.CompletedTask;

    /// <summary>What <see cref="OpenAsync(string, CancellationToken)"/> finds.</summary>
    public List<DatasetDescription> Datasets { get; } = [];

    /// <summary>The options and sizes of the writes that arrived.</summary>
    public List<(int Bytes, CommitOptions Options)> Writes { get; } = [];

    public List<AcquireMode> Acquired { get; } = [];

    public Task<DatasetDescription> OpenAsync(string name, CancellationToken cancellationToken) =>
        Datasets.Find(dataset => dataset.Name == name) is { } found ? Task.FromResult(found) : throw DatasetNotFoundException.Named(name);

    public Task<DatasetDescription> OpenAsync(DatasetId dataset, CancellationToken cancellationToken) =>
        Task.FromResult(Datasets.Single(known => known.Id == dataset));

    public NodeId OwnerOf(DatasetId dataset, ChunkIndex chunk) => engine.NodeId;

    public async Task<CommitResult> CommitAsync(IReadOnlyList<CommitScope> scopes, CommitOptions options, CancellationToken cancellationToken)
    {
        CommitScope scope = Assert.Single(scopes);
        using Transaction transaction = engine.CreateTransaction();
        long bytes = transaction.Collect(scope.Dataset.Id, [.. scope.Ranges]);
        Completion completion = await EngineFixture.CommitAsync(engine, transaction, scope.Dataset.Id);
        return new CommitResult { Degree = completion.Degree, Bytes = bytes, Pages = 1, Owners = 1 };
    }

    public Task<CommitResult> WriteAsync(
        DatasetDescription dataset, long offset, ReadOnlyMemory<byte> bytes, CommitOptions options, CancellationToken cancellationToken) =>
        WriteAsync(dataset, [new ByteWrite(offset, bytes)], options, cancellationToken);

    public async Task<CommitResult> WriteAsync(
        DatasetDescription dataset, IReadOnlyList<ByteWrite> writes, CommitOptions options, CancellationToken cancellationToken)
    {
        int bytes = writes.Sum(write => write.Bytes.Length);
        Writes.Add((bytes, options));
        using Transaction transaction = engine.CreateTransaction();
        foreach (ByteWrite write in writes)
            transaction.Write(dataset.Id, write.Offset, write.Bytes.Span);
        Completion completion = await EngineFixture.CommitAsync(engine, transaction, dataset.Id);
        return new CommitResult { Degree = completion.Degree, Bytes = bytes, Pages = 1, Owners = 1 };
    }

    public Task<IGrant> AcquireAsync(
        DatasetDescription dataset, ByteRange range, AcquireMode mode, TimeSpan timeout, CancellationToken cancellationToken)
    {
        Acquired.Add(mode);
        return Task.FromResult<IGrant>(new Grant(dataset.Id, range, mode));
    }

    private sealed record Grant(DatasetId Dataset, ByteRange Range, AcquireMode Mode) : IGrant
    {
        public Task UpgradeAsync(TimeSpan timeout, CancellationToken cancellationToken) =>
            throw new NotSupportedException("No test of the client upgrades a grant.");

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}

/// <summary>
/// Stands for any grain interface, and for the grain factory, on both actor hosts: each call goes to one function that gets the
/// method's name and its arguments. A method without an answer fails the test.
/// </summary>
internal class Stub<T> : DispatchProxy
    where T : class
{
    private Func<MethodInfo, object?[], object?> _answer = (method, _) => throw new InvalidOperationException($"{typeof(T).Name}.{method.Name} has no answer.");

    public static T Answering(Func<MethodInfo, object?[], object?> answer)
    {
        T proxy = Create<T, Stub<T>>();
        ((Stub<T>)(object)proxy)._answer = answer;
        return proxy;
    }

    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) => _answer(targetMethod!, args ?? []);
}
