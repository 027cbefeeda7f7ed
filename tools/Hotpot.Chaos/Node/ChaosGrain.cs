using System.Runtime.InteropServices;
using Hotpot.Clients;
using Hotpot.Grains.Placement;
using Hotpot.Histories;

namespace Hotpot.Chaos.Node;

[OnNode]
[Reentrant]
internal sealed class ChaosGrain(MappedDatasets datasets, Transactions transactions) : Grain, IChaosGrain
{
    /// <summary>A page that is still torn after so long is not about to be finished.</summary>
    private static readonly TimeSpan s_tornMax = TimeSpan.FromSeconds(5);

    public Task<Reply> OpenAccountsAsync(int[] accounts, long balance) => transactions.RunAsync(Layout.Bank, Pages(accounts, Layout.AccountAt), mapping =>
    {
        foreach (var account in accounts)
            Layout.SetBalance(Page(mapping, Layout.AccountAt(account)), balance);
        return Reply.Ok([]);
    });

    public Task<Reply> TransferAsync(int from, int to, long amount) => transactions.RunAsync(Layout.Bank, [Layout.AccountAt(from), Layout.AccountAt(to)], mapping =>
    {
        var source = Page(mapping, Layout.AccountAt(from));
        var target = Page(mapping, Layout.AccountAt(to));
        Mark(source);
        Mark(target);
        if (Layout.BalanceOf(source) < amount)
            return Reply.Failed("The account does not hold so much.");
        long[] before = [Layout.BalanceOf(source), Layout.BalanceOf(target)];
        Layout.SetBalance(source, before[0] - amount);
        Layout.SetBalance(target, before[1] + amount);
        return Reply.Ok([before]);
    });

    public Task<Reply> AuditAsync()
    {
        int[] accounts = [.. Enumerable.Range(0, Layout.Accounts)];
        return transactions.RunAsync(Layout.Bank, Pages(accounts, Layout.AccountAt), mapping =>
        {
            foreach (var account in accounts)
                Mark(Page(mapping, Layout.AccountAt(account)));
            return Reply.Ok([.. accounts.Select(account => (long[])[Layout.BalanceOf(Page(mapping, Layout.AccountAt(account)))])]);
        });
    }

    public Task<Reply> AppendAsync(int[] lists, long element) => transactions.RunAsync(Layout.Lists, Pages(lists, Layout.ListAt), mapping =>
    {
        var reply = ReadMarked(mapping, lists);
        if (reply.Outcome != Outcome.Ok)
            return reply;
        if (reply.Reads.Any(elements => elements.Length >= Layout.ListElementsMax))
            return reply with { Outcome = Outcome.Fail, Reason = "A list is full." };
        for (var i = 0; i < lists.Length; i++)
            Layout.Append(Page(mapping, Layout.ListAt(lists[i])), reply.Reads[i], element);
        return reply;
    });

    public Task<Reply> SnapshotAsync(int[] lists) => transactions.RunAsync(Layout.Lists, Pages(lists, Layout.ListAt), mapping => ReadMarked(mapping, lists));

    public async Task<Reply> LoadListAsync(int list)
    {
        var torn = new System.Diagnostics.Stopwatch();
        while (true)
        {
            var reply = await transactions.LoadAsync(Layout.Lists, Layout.ListAt(list), mapping =>
                Layout.ElementsOf(Page(mapping, Layout.ListAt(list))) is { } elements ? Reply.Ok([elements]) : Torn(list));
            if (reply.Anomaly is null)
                return reply;
            torn.Start();
            if (torn.Elapsed > s_tornMax)
                return reply;
            await Task.Delay(1);
        }
    }

    public Task<Reply> CountAsync(int page, int slot, long value)
    {
        var at = Layout.CounterPageAt(page) + (slot * sizeof(long));
        return transactions.RunSharedAsync(Layout.Counters, new ByteRange(at, sizeof(long)), mapping => mapping.Ref<long>(at) = value);
    }

    public async Task<Reply> ReadCountersAsync(int page, int slots)
    {
        var mapped = await datasets.OpenAsync(Layout.Counters);
        try
        {
            var bytes = await mapped.Dataset.ReadAsync(Layout.CounterPageAt(page), slots * sizeof(long));
            return Reply.Ok([.. MemoryMarshal.Cast<byte, long>(bytes).ToArray().Select(value => (long[])[value])]);
        }
        catch (HotpotException failure)
        {
            return Reply.Failed(failure.Message);
        }
    }

    public Task<Reply> WriteRegisterAsync(int register, long value) => transactions.RunGrantedAsync(Layout.Registers, Layout.RegisterAt(register), AcquireMode.Exclusive, mapping =>
    {
        mapping.Ref<long>(Layout.RegisterAt(register)) = value;
        return Reply.Ok([]);
    });

    public Task<Reply> ReadRegisterAsync(int register) => transactions.RunGrantedAsync(
        Layout.Registers, Layout.RegisterAt(register), AcquireMode.Shared, mapping => Reply.Ok([[mapping.ReadOnlyRef<long>(Layout.RegisterAt(register))]]));

    public async Task<byte[]> DumpAsync(string dataset, long offset, int length)
    {
        var mapped = await datasets.OpenAsync(dataset);
        await mapped.Dataset.DiscardAsync(new ByteRange(offset, length));
        await mapped.Dataset.PrefetchAsync(new ByteRange(offset, length));
        return await Task.Run(() => mapped.Mapping.GetReadOnlySpan(offset, length).ToArray());
    }

    private static Reply ReadMarked(Mapping mapping, int[] lists)
    {
        foreach (var list in lists)
            Mark(Page(mapping, Layout.ListAt(list)));
        var reads = new long[lists.Length][];
        for (var i = 0; i < lists.Length; i++)
        {
            // The page is private now and changes no more, so nothing is excused.
            if (Layout.ElementsOf(Page(mapping, Layout.ListAt(lists[i]))) is not { } elements)
                return Torn(lists[i]);
            reads[i] = elements;
        }

        return Reply.Ok(reads);
    }

    private static Reply Torn(int list) => Reply.Failed("The list's checksum does not fit.") with { Anomaly = $"list {list} is torn: its checksum does not fit its elements" };

    // Never zero, and never the same again: a store of the value that is there already would change nothing.
    private static void Mark(Span<byte> page) => Layout.Mark(page, Random.Shared.NextInt64(1, long.MaxValue));

    private static Span<byte> Page(Mapping mapping, long offset) => MemoryMarshal.CreateSpan(ref mapping.Ref<byte>(offset), Limits.PageBytes);

    private static long[] Pages(int[] objects, Func<int, long> at) => [.. objects.Select(at)];
}
