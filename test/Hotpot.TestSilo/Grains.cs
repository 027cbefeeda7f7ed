using System.Collections.Concurrent;

namespace Hotpot.TestSilo;

public sealed class TurnGrain : Grain, ITurnGrain
{
    private readonly TaskCompletionSource _gate = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _count;
    private bool _waiting;

    public async Task<int> AddSlowlyAsync()
    {
        var before = _count;
        await Task.Yield();
        await Task.Delay(TimeSpan.Zero);
        _count = before + 1;
        return _count;
    }

    public async Task<string> WaitForGateAsync()
    {
        _waiting = true;
        await _gate.Task;
        return "opened";
    }

    public Task OpenAsync()
    {
        _gate.TrySetResult();
        return Task.CompletedTask;
    }

    public Task<bool> IsWaitingAsync() => Task.FromResult(_waiting);

    public Task<int> CountAsync() => Task.FromResult(_count);

    public Task NeverAsync() => new TaskCompletionSource().Task;
}

[Reentrant]
public sealed class ReentrantGrain : Grain, IReentrantGrain
{
    private readonly TaskCompletionSource _gate = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public async Task<string> WaitForGateAsync()
    {
        await _gate.Task;
        return "opened";
    }

    public Task OpenAsync()
    {
        _gate.TrySetResult();
        return Task.CompletedTask;
    }
}

[OnNamedSilo]
public sealed class PlacedGrain(ILocalSiloDetails silo) : Grain, IPlacedGrain
{
    private static readonly ConcurrentDictionary<string, int> Activations = new();

    private int _cancellations;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        Activations.AddOrUpdate(this.GetPrimaryKeyString(), 1, (_, count) => count + 1);
        return Task.CompletedTask;
    }

    public Task<string> WhereAsync() => Task.FromResult(silo.Name);

    public ValueTask<int> AddAsync(int left, int right) => ValueTask.FromResult(left + right);

    public Task ThrowAsync(string kind) => kind switch
    {
        "shelf" => throw new ShelfException("The shelf is empty.", new Coordinate(3, 4), new InvalidOperationException("Nobody filled it.")),
        "unmarked" => throw new UnmarkedException("Nobody knows me."),
        _ => throw new ArgumentException($"There is no {kind}."),
    };

    public Task<byte[]> ReverseAsync(byte[] bytes)
    {
        Array.Reverse(bytes);
        return Task.FromResult(bytes);
    }

    public Task<Parcel> EchoAsync(Parcel parcel) => Task.FromResult(parcel);

    public async Task WaitForCancellationAsync(CancellationToken cancellationToken)
    {
        var cancelled = new TaskCompletionSource();
        await using (cancellationToken.UnsafeRegister(static source => ((TaskCompletionSource)source!).SetResult(), cancelled))
            await cancelled.Task;
        _cancellations++;
        cancellationToken.ThrowIfCancellationRequested();
    }

    public Task<int> CancellationsAsync() => Task.FromResult(_cancellations);

    public Task HangAsync() => new TaskCompletionSource().Task;

    public Task<string> AskAsync(string otherKey) => GrainFactory.GetGrain<IPlacedGrain>(otherKey).WhereAsync();

    public async Task<int> TicksAsync(int wanted)
    {
        var ticks = 0;
        var enough = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var timer = this.RegisterGrainTimer(
            _ =>
            {
                if (++ticks == wanted)
                    enough.SetResult();
                return Task.CompletedTask;
            },
            new GrainTimerCreationOptions(TimeSpan.Zero, TimeSpan.FromMilliseconds(1)) { Interleave = true });
        await enough.Task;
        return ticks;
    }

    public Task DeactivateAsync()
    {
        DeactivateOnIdle();
        return Task.CompletedTask;
    }

    public Task<int> ActivationsAsync() => Task.FromResult(Activations[this.GetPrimaryKeyString()]);
}

public sealed class RoamingGrain(ILocalSiloDetails silo) : Grain, IRoamingGrain
{
    private bool _staying;

    public Task<string> WhereAsync() => Task.FromResult(silo.Name);

    public Task<bool> IsStayingAsync() => Task.FromResult(_staying);

    public async Task StayAsync(CancellationToken cancellationToken)
    {
        _staying = true;
        var cancelled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using (cancellationToken.UnsafeRegister(static source => ((TaskCompletionSource)source!).SetResult(), cancelled))
            await cancelled.Task;
    }
}

public sealed class StoredGrain(
    [PersistentState("number", "test")] IPersistentState<StoredNumber> state, ILocalSiloDetails silo) : Grain, IStoredGrain
{
    public async Task<int> AddAsync(int amount)
    {
        state.State.Value += amount;
        await state.WriteStateAsync();
        return state.State.Value;
    }

    public Task<string?> EtagAsync() => Task.FromResult(state.RecordExists ? state.Etag : null);

    public Task ClearAsync() => state.ClearStateAsync();

    public Task DeactivateAsync()
    {
        DeactivateOnIdle();
        return Task.CompletedTask;
    }

    public Task<string> WhereAsync() => Task.FromResult(silo.Name);
}

[GenerateSerializer]
public sealed class StoredNumber
{
    [Id(0)]
    public int Value { get; set; }
}

/// <summary>Places a grain on the silo whose name its key begins with.</summary>
public sealed class OnNamedSilo : PlacementStrategy;

[AttributeUsage(AttributeTargets.Class)]
public sealed class OnNamedSiloAttribute() : PlacementAttribute(new OnNamedSilo());

public sealed class OnNamedSiloDirector(IClusterMembershipService membership) : IPlacementDirector
{
    public Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context)
    {
        var name = target.GrainIdentity.Key.ToString()!.Split('/')[0];
        var member = membership.CurrentSnapshot.Members.Values.FirstOrDefault(member => member.Name == name && member.Status == SiloStatus.Active)
            ?? throw new NoSuchSiloException($"There is no active silo named {name}.");
        return Task.FromResult(member.SiloAddress);
    }
}
