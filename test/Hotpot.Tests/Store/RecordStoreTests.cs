using System.Text;
using Hotpot.Grains;
using Hotpot.Runtime;
using Hotpot.Store;

namespace Hotpot.Tests.Store;

/// <summary>The structure of a store, in memory of this process.</summary>
public sealed class RecordStoreTests
{
    private const long SmallStripe = 256 << 10;

    private static byte[] Key(string text) => Encoding.UTF8.GetBytes(text);

    [Theory]
    [InlineData(1, 1, 40)]
    [InlineData(2, 3, 600)]
    [InlineData(3, 4, 9000)]
    [InlineData(4, 2, 20)]
    public async Task RandomOperationsOfTwoNodesAgreeWithADictionary(int seed, int stripes, int longest)
    {
        using PlainMemory memory = new(stripes * SmallStripe, SmallStripe, seed);
        // Two processes: each has its own idea of where there is room.
        RecordStore[] nodes = [new(memory), new(memory)];
        SortedDictionary<string, byte[]> model = new(StringComparer.Ordinal);
        Random random = new(seed);
        for (int i = 0; i < 6000; i++)
        {
            RecordStore store = nodes[random.Next(2)];
            string name = $"key-{random.Next(400)}{new string('x', random.Next(3) * 40)}";
            if (random.Next(3) == 0)
            {
                Assert.Equal(model.Remove(name), await store.DeleteAsync(Key(name)));
            }
            else
            {
                byte[] value = new byte[random.Next(longest)];
                random.NextBytes(value);
                try
                {
                    await store.PutAsync(Key(name), value);
                    model[name] = value;
                }
                catch (StoreFullException)
                {
                    // Nothing was changed: what the model has is still there.
                }
            }
            if (i % 500 == 0)
                AssertEqual(model, nodes[i / 500 % 2]);
        }
        AssertEqual(model, new RecordStore(memory));
        Assert.All(memory.OwnersOfCommits, owners => Assert.Equal(1, owners));
        foreach (string name in model.Keys.ToArray())
            Assert.True(await nodes[0].DeleteAsync(Key(name)));
        Assert.Equal(0, nodes[1].Check().Records);
    }

    [Fact]
    public async Task SpaceThatIsFreedIsUsedAgain()
    {
        using PlainMemory memory = new(SmallStripe, SmallStripe);
        RecordStore store = new(memory);
        int fitted = 0;
        for (int round = 0; round < 5; round++)
        {
            int before = fitted;
            fitted = 0;
            await Assert.ThrowsAsync<StoreFullException>(async () =>
            {
                for (; ; fitted++)
                    await store.PutAsync(Key($"{fitted}"), new byte[1000 * (1 + fitted % 8)]);
            });
            if (round > 0)
                Assert.InRange(fitted, before - 2, before);
            for (int i = 0; i < fitted; i++)
                Assert.True(await store.DeleteAsync(Key($"{i}")));
            Assert.Equal(0, store.Check().Records);
        }
        Assert.InRange(fitted, 30, 60);
    }

    [Fact]
    public async Task ManyRecordsAreWrittenWithFewCommitsAndScannedInOrder()
    {
        using PlainMemory memory = new(16 << 20, 4 << 20);
        RecordStore store = new(memory);
        string[] names = [.. Enumerable.Range(0, 5000).Select(i => $"{i * 7919 % 5000:D6}")];
        await store.PutManyAsync(names.Select(name => KeyValuePair.Create<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>(Key(name), Key($"value of {name}"))));
        Assert.Equal(4, memory.Commits);
        Assert.Equal(5000, store.Check().Records);
        List<string> found = [];
        Assert.Equal(100, store.Scan(Key("001234"), 100, (key, value) =>
        {
            found.Add(Encoding.UTF8.GetString(key));
            Assert.Equal($"value of {found[^1]}", Encoding.UTF8.GetString(value));
        }));
        Assert.Equal(Enumerable.Range(1234, 100).Select(i => $"{i:D6}"), found);
        Assert.Equal(5, store.Scan(Key("004995"), 100, (_, _) => { }));
        Assert.Equal(0, store.Scan(Key("9"), 100, (_, _) => { }));
    }

    [Fact]
    public async Task AValueThatIsReplacedInPlaceChangesOneRange()
    {
        using PlainMemory memory = new(1 << 20, 1 << 20);
        RecordStore store = new(memory);
        await store.PutAsync(Key("a"), new byte[900]);
        IReadOnlyList<ByteWrite>? writes = null;
        memory.Refuse = seen =>
        {
            writes = seen;
            return null;
        };
        await store.PutAsync(Key("a"), new byte[950]);
        Assert.Single(writes!);
        Assert.Equal(950, store.Read(Key("a"))!.Length);
        await store.PutAsync(Key("a"), new byte[9500]);
        Assert.True(writes!.Count > 3);
        Assert.Equal(9500, store.Read(Key("a"))!.Length);
        Assert.Equal(1, store.Check().Records);
    }

    [Fact]
    public async Task ACommitThatIsRefusedChangesNothing()
    {
        using PlainMemory memory = new(1 << 20, 1 << 20);
        RecordStore store = new(memory);
        await store.PutAsync(Key("a"), Key("old"));
        memory.Refuse = _ => new DegreeException("Too few nodes.");
        await Assert.ThrowsAsync<DegreeException>(() => store.PutAsync(Key("a"), Key("new")));
        await Assert.ThrowsAsync<DegreeException>(() => store.PutAsync(Key("b"), Key("new")));
        await Assert.ThrowsAsync<DegreeException>(() => store.DeleteAsync(Key("a")));
        Assert.Equal(Key("old"), store.Read(Key("a")));
        Assert.Equal(1, store.Check().Records);
        memory.Refuse = _ => null;
        await store.PutAsync(Key("b"), Key("new"));
        Assert.Equal(2, new RecordStore(memory).Check().Records);
    }

    [Fact]
    public async Task AStripeWhoseCommitHasNoKnownOutcomeIsNotChangedAnyMore()
    {
        using PlainMemory memory = new(1 << 20, 1 << 20);
        RecordStore store = new(memory);
        await store.PutAsync(Key("a"), Key("old"));
        memory.Refuse = _ => new OutcomeUnknownException("Nobody answered.");
        await Assert.ThrowsAsync<OutcomeUnknownException>(() => store.PutAsync(Key("a"), Key("new")));
        memory.Refuse = _ => null;
        int locks = memory.Locks;
        OutcomeUnknownException refused = await Assert.ThrowsAsync<OutcomeUnknownException>(() => store.DeleteAsync(Key("a")));
        Assert.Contains("Nobody answered.", refused.Message, StringComparison.Ordinal);
        Assert.Equal(locks, memory.Locks);
        Assert.Equal(Key("old"), store.Read(Key("a")));
    }

    [Fact]
    public async Task InsertionsThatWaitForAStripeGoTogetherAndOneThatDoesNotFitFailsAlone()
    {
        using PlainMemory memory = new(SmallStripe, SmallStripe) { PieceBytes = 64 };
        RecordStore store = new(memory);
        const int threads = 8, each = 40;
        int full = 0;
        await Task.WhenAll(Enumerable.Range(0, threads).Select(thread => Task.Run(async () =>
        {
            for (int i = 0; i < each; i++)
            {
                await store.PutAsync(Key($"{thread}-{i}"), Key($"value {thread}-{i}"));
                try
                {
                    // Two fit, at most; the others are refused.
                    await store.PutAsync(Key($"large {thread}-{i}"), new byte[store.ValueBytesMax(20) - 100]);
                }
                catch (StoreFullException)
                {
                    Interlocked.Increment(ref full);
                }
            }
        })));
        Assert.Equal(threads * each + (threads * each - full), store.Check().Records);
        Assert.InRange(full, threads * each - 2, threads * each);
        for (int thread = 0; thread < threads; thread++)
            Assert.Equal(Key($"value {thread}-{each - 1}"), store.Read(Key($"{thread}-{each - 1}")));
        Assert.InRange(memory.Commits, 1, threads * each + 2);
    }

    [Fact]
    public async Task WhatCannotBeStoredIsRefusedWithASentence()
    {
        using PlainMemory memory = new(SmallStripe, SmallStripe);
        RecordStore store = new(memory);
        await Assert.ThrowsAsync<InvalidRequestException>(() => store.PutAsync(Array.Empty<byte>(), Key("v")));
        await Assert.ThrowsAsync<InvalidRequestException>(() => store.PutAsync(new byte[256], Key("v")));
        int longest = store.ValueBytesMax(3);
        await Assert.ThrowsAsync<InvalidRequestException>(() => store.PutAsync(Key("key"), new byte[longest + 1]));
        await store.PutAsync(Key("key"), new byte[longest]);
        Assert.Equal(longest, store.Read(Key("key"))!.Length);
        Assert.Equal(1, store.Check().Records);
        Assert.Throws<InvalidRequestException>(() => new StoreOptions { Bytes = 1 << 20, StripeBytes = 3 << 20 }.Stripes);
    }

    [Fact]
    public async Task DamageIsFoundAndNotReturned()
    {
        using PlainMemory memory = new(1 << 20, 1 << 20);
        RecordStore store = new(memory);
        byte[] value = [.. Enumerable.Range(0, 200).Select(i => (byte)i)];
        await store.PutAsync(Key("a"), value);
        Damage(memory, value);
        Assert.Contains("checksum", Assert.Throws<StoreCorruptException>(() => store.Check()).Message, StringComparison.Ordinal);
        Assert.Throws<StoreCorruptException>(() => store.Read(Key("a")));
    }

    private static unsafe void Damage(PlainMemory memory, byte[] value)
    {
        Span<byte> all = new(memory.Base, (int)memory.Bytes);
        all[all.IndexOf(value) + 100] ^= 1;
    }

    private static void AssertEqual(SortedDictionary<string, byte[]> model, RecordStore store)
    {
        Assert.Equal(model.Count, store.Check().Records);
        foreach ((string name, byte[] value) in model)
            Assert.Equal(value, store.Read(Key(name)));
        Assert.Null(store.Read(Key("key-none")));
        List<(string, byte[])> scanned = [];
        store.Scan(Key("k"), int.MaxValue, (key, value) => scanned.Add((Encoding.UTF8.GetString(key), value.ToArray())));
        Assert.Equal(model.Select(pair => (pair.Key, pair.Value)), scanned);
    }
}
