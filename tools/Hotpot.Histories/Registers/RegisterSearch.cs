namespace Hotpot.Histories.Registers;

/// <summary>The search over configurations; see the head of RegisterChecker.cs. Used once.</summary>
internal sealed class RegisterSearch(RegisterOptions options)
{
    // One bit of a configuration's mask for each open operation.
    private const int MaxOpen = 128;

    private readonly RegisterStep?[] _open = new RegisterStep?[MaxOpen];
    private HashSet<Configuration> _configurations = [new(options.InitialValue, UInt128.Zero)];
    private long _visited;

    private readonly record struct Configuration(long Value, UInt128 Done);

    /// <summary>What the register could hold when the last completion was looked at.</summary>
    public IReadOnlyCollection<long> ValuesBefore { get; private set; } = [];

    /// <summary>The operation that nothing explains, if any; or why the search gave up.</summary>
    public (RegisterStep? StuckAt, string? GaveUp) Run(IReadOnlyList<RegisterStep> steps)
    {
        var ends = steps.Where(step => step.MustHappen).OrderBy(step => step.EndUs).ToList();
        var next = 0;
        foreach (var end in ends)
        {
            // Ties: all that begin by the time of the end are open at it.
            for (; next < steps.Count && steps[next].InvokeUs <= end.EndUs; ++next)
            {
                var slot = Array.IndexOf(_open, null);
                if (slot < 0) return (null, $"more than {MaxOpen} operations were open at once at {steps[next].InvokeUs} us");
                _open[slot] = steps[next];
            }
            ValuesBefore = [.. _configurations.Select(configuration => configuration.Value).Distinct()];
            if (!Complete(Array.IndexOf(_open, end))) return (null, $"the search visited more than {options.MaxConfigurations} configurations by {end.EndUs} us");
            if (_configurations.Count == 0) return (end, null);
        }
        return (null, null);
    }

    // Extends every configuration until the operation is in its order, then frees its slot. False: over the budget.
    private bool Complete(int slot)
    {
        var after = new HashSet<Configuration>();
        var seen = new HashSet<Configuration>();
        var stack = new Stack<Configuration>();
        foreach (var configuration in _configurations) stack.Push(ReadAhead(configuration));
        while (stack.TryPop(out var configuration))
        {
            if (!seen.Add(configuration)) continue;
            if (++_visited > options.MaxConfigurations) return false;
            if ((configuration.Done & Bit(slot)) != 0)
            {
                after.Add(configuration with { Done = configuration.Done & ~Bit(slot) });
                continue;
            }
            for (var other = 0; other < MaxOpen; ++other)
            {
                if (_open[other] is not { } step || (configuration.Done & Bit(other)) != 0) continue;
                if (step.Needs is { } needs && needs != configuration.Value) continue;
                stack.Push(ReadAhead(new Configuration(step.Leaves ?? configuration.Value, configuration.Done | Bit(other))));
            }
        }
        _open[slot] = null;
        _configurations = after;
        return true;
    }

    private Configuration ReadAhead(Configuration configuration)
    {
        var done = configuration.Done;
        for (var slot = 0; slot < MaxOpen; ++slot)
        {
            if (_open[slot] is { IsRead: true } read && (read.Needs is not { } needs || needs == configuration.Value)) done |= Bit(slot);
        }
        return configuration with { Done = done };
    }

    private static UInt128 Bit(int slot) => UInt128.One << slot;
}
