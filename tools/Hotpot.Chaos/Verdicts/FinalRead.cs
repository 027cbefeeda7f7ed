using System.Globalization;
using System.Runtime.InteropServices;
using Hotpot.Chaos.Faults;
using Hotpot.Chaos.Node;
using Hotpot.Chaos.Orchestration;
using Hotpot.Chaos.Workload;
using Hotpot.Histories;

namespace Hotpot.Chaos.Verdicts;

/// <summary>Reads everything on one node when nothing happens any more, and records it as that node's last word.</summary>
internal sealed class FinalRead(ChaosCluster cluster, Recorder recorder, Journal journal, NodeSlot slot)
{
    // One call carries so much; the actor host's limit for a message is far above.
    private const int DumpBytes = 1 << 20;

    private readonly string _name = string.Create(CultureInfo.InvariantCulture, $"final{slot.Index}");

    // Written by RunAsync only.
    private long _operations;

    public async Task RunAsync(IEnumerable<int> lists, int slots)
    {
        var bank = await DumpAsync(Layout.Bank, Layout.Accounts * Layout.ChunkBytes);
        Record(Histories.Workload.Bank, Evidence.Commit, [.. Enumerable.Range(0, Layout.Accounts).Select(account =>
            Access.Read(BankClient.KeyOf(account), Layout.BalanceOf(bank.AsSpan((int)Layout.AccountAt(account)))))]);

        var counters = await DumpAsync(Layout.Counters, Layout.CounterPages * Layout.ChunkBytes);
        for (var page = 0; page < Layout.CounterPages; page++)
        {
            var values = MemoryMarshal.Cast<byte, long>(counters.AsSpan((int)Layout.CounterPageAt(page), slots * sizeof(long))).ToArray();
            Record(Histories.Workload.Counter, Evidence.Commit, [.. values.Select((value, counter) => Access.Read(CounterClient.KeyOf(page, counter), value))]);
        }

        var registers = await DumpAsync(Layout.Registers, Layout.RegisterCount * Layout.ChunkBytes);
        for (var register = 0; register < Layout.RegisterCount; register++)
            Record(Histories.Workload.Register, Evidence.Commit, [Access.Read(RegisterClient.KeyOf(register), MemoryMarshal.Read<long>(registers.AsSpan((int)Layout.RegisterAt(register))))]);

        int[] used = [.. lists];
        var all = await DumpAsync(Layout.Lists, (used.Max() + 1) * Limits.PageBytes);
        foreach (var list in used)
        {
            if (Layout.ElementsOf(all.AsSpan((int)Layout.ListAt(list), Limits.PageBytes)) is { } elements)
                Record(Histories.Workload.List, Evidence.Commit, [Access.Read(Lanes.KeyOf(list), elements)]);
            else
                journal.Anomaly($"list {list} on {slot.Last!.Process.Name} is torn at the end: its checksum does not fit its elements");
        }
    }

    private async Task<byte[]> DumpAsync(string dataset, int length)
    {
        var bytes = new byte[length];
        for (var offset = 0; offset < length; offset += DumpBytes)
        {
            var piece = await cluster.On(slot.Last!, slot.Index).DumpAsync(dataset, offset, Math.Min(DumpBytes, length - offset));
            piece.CopyTo(bytes, offset);
        }

        return bytes;
    }

    private void Record(Histories.Workload kind, Evidence evidence, Access[] accesses)
    {
        var now = Clock.NowUs;
        recorder.Add(
            new Recorded(new Operation(_name, slot.Index.ToString(CultureInfo.InvariantCulture), _operations++, kind, accesses, now, now, Outcome.Ok), evidence, null), null, null);
    }
}
