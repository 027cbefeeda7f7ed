using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;
using Hotpot.Clients;
using Hotpot.Grains.Node;
using Microsoft.Extensions.DependencyInjection;

namespace Hotpot.Bench.Benches.Miss;

/// <summary>How a page comes here.</summary>
internal enum PageAccess
{
    /// <summary>A plain load of one word: the thread stops in a page fault until the page is here.</summary>
    Touch,

    /// <summary>An ordinary call that asks for the page, and then the load.</summary>
    Prefetch,
}

/// <summary>Loads one word of each of many pages, each page once, in random order. Only absent pages are worth a turn, so the order goes on from turn to turn.</summary>
internal sealed class PageTouches : IWorkload
{
    public const string Kind = "miss.touch";

    private readonly MappedDataset _mapped;
    private readonly Engine _engine;
    private readonly PageAccess _access;
    private readonly bool _zeros;
    private readonly int[] _order;

    // The next place in the order. Written by RunAsync.
    private int _next;

    private PageTouches(MappedDataset mapped, Engine engine, WorkloadSpec spec)
    {
        _mapped = mapped;
        _engine = engine;
        _access = Enum.Parse<PageAccess>(spec["access"]);
        _zeros = bool.Parse(spec["zeros"]);
        var first = (int)spec.Number("first");
        _order = [.. Enumerable.Range(first, (int)spec.Number("pages"))];
        new Random(first).Shuffle(_order);
    }

    public static async Task<IWorkload> CreateAsync(WorkloadContext context) => new PageTouches(
        await context.Datasets.OpenAsync(context.Spec["dataset"]), context.Services.GetRequiredService<IHotpotNode>().Engine, context.Spec);

    /// <param name="zeros">The dataset was never written: a page is made here, and nobody is asked for it.</param>
    public static WorkloadSpec Spec(string dataset, PageAccess access, bool zeros, long first, long pages) => new()
    {
        Kind = Kind,
        Parameters =
        {
            ["dataset"] = dataset, ["access"] = access.ToString(), ["zeros"] = zeros.ToString(),
            ["first"] = $"{first}", ["pages"] = $"{pages}",
        },
    };

    public Task<Turn> RunAsync(int operations, TimeSpan limit)
    {
        if (operations > _order.Length - _next)
            throw new IOException($"Only {_order.Length - _next} pages are left that were not touched; {operations} are wanted.");
        var before = _engine.Statistics();
        var clock = new TurnClock(operations, limit);
        while (clock.Begin())
        {
            var offset = (long)_order[_next++] * Limits.PageBytes;
            var word = _access == PageAccess.Touch ? Volatile.Read(in _mapped.Mapping.ReadOnlyRef<ulong>(offset)) : _mapped.Mapping.GetReadOnlySpan<ulong>(offset, Limits.PageBytes / sizeof(ulong))[0];
            clock.End();
            if (word != (_zeros ? 0 : Pattern.WordAt(offset)))
                throw new IOException($"The page at {offset} has other bytes than were committed.");
        }

        var turn = clock.Done();
        return Task.FromResult(turn with { More = Shares(before, _engine.Statistics(), turn.Us.Average()) });
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    /// <summary>
    /// The engine's own time, from its reading of the fault to its waking of the thread, and the rest, which is the kernel's: the fault, the wake-up of the engine
    /// by it, and the wake-up of the thread.
    /// </summary>
    internal static Dictionary<string, double> Shares(EngineStatistics before, EngineStatistics after, double meanUs)
    {
        var misses = after.Misses - before.Misses;
        if (misses == 0)
            return [];
        var engine = (after.MissNsSum - before.MissNsSum) / 1e3 / misses;
        return new() { ["engine_us"] = engine, ["userfaultfd_us"] = meanUs - engine, ["userfaultfd_share"] = (meanUs - engine) / meanUs };
    }
}
