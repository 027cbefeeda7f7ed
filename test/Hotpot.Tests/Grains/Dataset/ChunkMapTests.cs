using System.Diagnostics;
using FsCheck;
using FsCheck.Fluent;
using Hotpot.Grains;
using Hotpot.Grains.Dataset;
using static Hotpot.Tests.Grains.TestNodes;

namespace Hotpot.Tests.Grains.Dataset;

public sealed class ChunkMapTests
{
    private const uint Chunks = 50;

    // A map as a list of numbers: each draws an entry for one chunk, or leaves it unassigned.
    private static ChunkMap Draw(int[] seeds)
    {
        List<ChunkEntry> entries = [];
        for (uint chunk = 0; chunk < Math.Min(Chunks, seeds.Length); chunk++)
        {
            Random random = new(seeds[chunk]);
            if (random.Next(3) == 0)
                continue;
            NodeId[] nodes = [.. All.OrderBy(_ => random.Next()).Take(random.Next(1, 5))];
            int counted = random.Next(1, nodes.Length + 1);
            entries.Add(random.Next(5) == 0
                ? Waiting(nodes, (ulong)random.NextInt64(1, long.MaxValue), chunk)
                : Entry(nodes[..counted], nodes[counted..], (ChunkPhase)random.Next(2), (ulong)random.Next(1, 4), chunk));
        }
        return ChunkMap.Restore(Chunks, (ulong)seeds.Length, entries);
    }

    private static void ForAllMaps(Action<ChunkMap> property) =>
        Prop.ForAll(Gen.Choose(0, 40).ArrayOf().ToArbitrary(), seeds => property(Draw(seeds))).QuickCheckThrowOnFailure();

    [Fact]
    public void WhatIsStoredIsReadAgain() => ForAllMaps(map =>
    {
        ChunkMap read = ChunkMapCodec.Decode(ChunkMapCodec.Encode(map), Chunks);
        Assert.Equal(map.Version, read.Version);
        Assert.Equal(map.Assigned, read.Assigned);
    });

    [Fact]
    public void PagesTogetherAreTheMap() => ForAllMaps(map =>
    {
        List<ChunkEntry> entries = [];
        ChunkIndex? from = new ChunkIndex(0);
        while (from is { } start)
        {
            ChunkMapPage page = map.Page(0, start, max: 3);
            ChunkEntry[] unpacked = page.Entries.Unpack();
            Assert.True(unpacked.Length <= 3);
            entries.AddRange(unpacked);
            from = page.Next;
        }
        Assert.Equal(map.Version == 0 ? [] : map.Assigned, entries);
    });

    [Fact]
    public void TheCountsAreThoseOfTheEntries() => ForAllMaps(map =>
    {
        ChunkEntry[] entries = [.. map.Assigned];
        Assert.Equal((uint)entries.Length, map.Counts.Assigned);
        Assert.Equal((uint)entries.Count(entry => entry.Phase == ChunkPhase.Recovering), map.Counts.Recovering);
        Assert.Equal((uint)entries.Count(entry => entry.Owner.IsNone), map.Counts.Waiting);
        Assert.Equal((uint)entries.Sum(entry => ConfigurationDecision.Joining(entry).Length), map.Counts.Joining);
        for (int degree = 1; degree <= Limits.MaxDegree; degree++)
            Assert.Equal((uint)entries.Sum(entry => Math.Max(0, degree - (entry.Owner.IsNone ? 0 : entry.CountedReplicas))), map.Counts.Missing(degree));
    });

    [Fact]
    public void WhatTravelsIsWhatWasSent() => ForAllMaps(map => Assert.Equal(map.Assigned, PackedEntries.Of(map.Assigned).Unpack()));

    [Fact]
    public void EntriesThatAreAlikeTravelAsOne()
    {
        ChunkEntry[] entries = [.. Enumerable.Range(0, ChunkMapPage.MaxEntries).Select(chunk => Entry([A, B], epoch: 3, chunk: (uint)chunk))];
        PackedEntries packed = PackedEntries.Of(entries);
        Assert.InRange(packed.Bytes.Length, 1, 40);
        Assert.Equal(entries, packed.Unpack());
    }

    [Fact]
    public void StatesTravelAsTheyAre()
    {
        ChunkState[] states =
        [
            new(),
            new() { Chunk = new ChunkIndex(int.MaxValue), Held = true, Complete = true, Pending = 3, Epoch = new Epoch(ulong.MaxValue), Sequence = new CommitSequence(1) },
            new() { Chunk = new ChunkIndex(200), Complete = true, Sequence = new CommitSequence(ulong.MaxValue) },
            new() { Chunk = new ChunkIndex(7), Held = true, Pending = int.MaxValue },
        ];
        Assert.Equal(states, PackedStates.Of(states).Unpack());
        Assert.Equal(states.Select(state => state.Chunk).Order(), PackedChunks.Of([.. states.Select(state => state.Chunk)]).Unpack().Order());
        PackedStates packed = PackedStates.Of(states);
        for (int length = 0; length < packed.Bytes.Length; length++)
            Assert.Throws<InvalidDataException>(() => (packed with { Bytes = packed.Bytes[..length] }).Unpack());
    }

    [Fact]
    public void MoreEntriesThanACallMayCarryAreRefused()
    {
        PackedEntries packed = PackedEntries.Of(Enumerable.Range(0, ChunkMapPage.MaxEntries + 1).Select(chunk => Entry([A, B], epoch: 3, chunk: (uint)chunk)));
        Assert.Throws<InvalidDataException>(() => packed.Unpack());
    }

    [Fact]
    public void EveryTruncationOfAStoredMapIsRefused()
    {
        byte[] bytes = ChunkMapCodec.Encode(ChunkMap.Empty(4).With([Entry([A, B], [C], epoch: 1, chunk: 1)]));
        for (int length = 0; length < bytes.Length; length++)
            Assert.Throws<InvalidDataException>(() => ChunkMapCodec.Decode(bytes.AsSpan(0, length), 4));
        Assert.Throws<InvalidDataException>(() => ChunkMapCodec.Decode([.. bytes, 0], 4));
    }

    [Fact]
    public void AStoredMapOfALargerDatasetIsRefused()
    {
        byte[] bytes = ChunkMapCodec.Encode(ChunkMap.Empty(4).With([Entry([A], epoch: 1, chunk: 3)]));
        InvalidDataException error = Assert.Throws<InvalidDataException>(() => ChunkMapCodec.Decode(bytes, 3));
        Assert.Contains("3 chunks", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void TheWorkedExampleIsWhatIsStored()
    {
        NodeId seven = new(7), nine = new(9);
        ChunkMap map = ChunkMap.Restore(8, 4, Enumerable.Range(0, 3).Select(chunk => Entry([seven, nine], epoch: 1, chunk: (uint)chunk)));
        Assert.Equal(
            Convert.FromHexString("0104" + "02" + "0700000000000000" + "0900000000000000" + "01" + "000301000102000100"),
            ChunkMapCodec.Encode(map));
    }

    [Fact]
    public void ALargeMapStaysSmall()
    {
        const uint large = 262_144;
        ChunkMap map = ChunkMap.Restore(large, 1, Enumerable.Range(0, (int)large).Select(chunk => Entry([All[chunk / 1000 % 4], All[(chunk / 1000 + 1) % 4]], epoch: 1, chunk: (uint)chunk)));
        byte[] bytes = ChunkMapCodec.Encode(map);
        Assert.InRange(bytes.Length, 1, 8192);
        Assert.Equal(large, (uint)ChunkMapCodec.Decode(bytes, large).Assigned.Count());
    }

    [Fact]
    public void ReadersSeeOnlyWhatChangedSince()
    {
        ChunkMap first = ChunkMap.Empty(10).With([Entry([A], epoch: 1, chunk: 1), Entry([B], epoch: 1, chunk: 2)]);
        ChunkMap second = first.With([Entry([B], epoch: 2, chunk: 1)]);
        Assert.Equal([1u], second.Page(first.Version, new ChunkIndex(0)).Entries.Unpack().Select(entry => entry.Chunk.Value));
        Assert.Empty(second.Page(second.Version, new ChunkIndex(0)).Entries.Unpack());
        Assert.Equal(new Epoch(1), first[new ChunkIndex(1)]!.Epoch);
    }

    [Fact]
    public void AnEntryIsNeverReplacedByAnOlderOne()
    {
        ChunkMap map = ChunkMap.Empty(4).With([Entry([A, B], epoch: 1)]);
        Assert.Throws<UnreachableException>(() => map.With([Entry([B, A], epoch: 1)]));
        Assert.Throws<UnreachableException>(() => map.With([Entry([A, B], epoch: 1, phase: ChunkPhase.Recovering)]));
        Assert.Throws<UnreachableException>(() => ChunkMap.Empty(4).With([Entry([A], epoch: 2)]));
    }

    [Fact]
    public void ImpossibleEntriesAreCaught()
    {
        ChunkEntry good = Entry([A, B], [C]);
        ChunkMap.AssertInvariants(good);
        ChunkEntry[] impossible =
        [
            good with { Owner = B },
            good with { Replicas = [A, A, C] },
            good with { JoiningMask = 1 },
            good with { JoiningMask = 8 },
            good with { Replicas = [] },
            good with { Epoch = new Epoch(0) },
            good with { Owner = NodeId.None, JoiningMask = 0 },
        ];
        foreach (ChunkEntry entry in impossible)
            Assert.Throws<UnreachableException>(() => ChunkMap.AssertInvariants(entry));
    }
}
