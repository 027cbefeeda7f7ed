using System.Text;
using Hotpot.Store;
using Hotpot.Store.Index;
using Hotpot.Store.Layout;

namespace Hotpot.Tests.Store;

/// <summary>Readers without a lock while commits are applied piece by piece, pages in any order.</summary>
public sealed class TornReadTests
{
    private const int Keys = 40;
    private const int Writes = 3000;

    private static byte[] Key(int number) => Encoding.UTF8.GetBytes($"key-{number:D3}");

    [Fact]
    public async Task ReadersSeeWholeValuesAndNeverLoseARecordThatIsThere()
    {
        using PlainMemory memory = new(2 << 20, 1 << 20) { PieceBytes = 48 };
        RecordStore store = new(memory);
        // Even keys stay; odd ones come and go, so that slots are used again under the readers.
        for (int i = 0; i < Keys; i++)
            await store.PutAsync(Key(i), Value(i, 1, 300));
        int writing = 1;
        long reads = 0;
        Task[] readers = [.. Enumerable.Range(0, 2).Select(_ => Task.Factory.StartNew(
            () =>
            {
                byte[] buffer = new byte[8192];
                while (Volatile.Read(ref writing) != 0)
                {
                    for (int i = 0; i < Keys; i++)
                    {
                        bool found = store.TryRead(Key(i), buffer, out int length);
                        Assert.True(found || i % 2 == 1, $"Key {i} was not found.");
                        if (found)
                            AssertWhole(i, buffer.AsSpan(0, length));
                        Interlocked.Increment(ref reads);
                    }
                    HashSet<int> scanned = [];
                    store.Scan(Key(0), int.MaxValue, (key, value) =>
                    {
                        int number = int.Parse(Encoding.UTF8.GetString(key)[4..], System.Globalization.CultureInfo.InvariantCulture);
                        Assert.True(scanned.Add(number));
                        AssertWhole(number, value);
                    });
                    Assert.Superset(Enumerable.Range(0, Keys / 2).Select(i => 2 * i).ToHashSet(), scanned);
                }
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default))];
        Random random = new(5);
        try
        {
            for (int i = 0; i < Writes; i++)
            {
                int number = random.Next(Keys);
                if (number % 2 == 1 && random.Next(2) == 0)
                    await store.DeleteAsync(Key(number));
                else
                    await store.PutAsync(Key(number), Value(number, (byte)i, random.Next(8, random.Next(10) == 0 ? 6000 : 700)));
            }
        }
        finally
        {
            Volatile.Write(ref writing, 0);
        }
        await Task.WhenAll(readers);
        Assert.True(reads > Keys);
        store.Check();
    }

    /// <summary>The control: without the checksum, the same readers do see values of two writes.</summary>
    [Fact]
    public async Task WithoutChecksumsTornValuesAreSeen()
    {
        using PlainMemory memory = new(1 << 20, 1 << 20) { PieceBytes = 48 };
        RecordStore store = new(memory);
        await store.PutAsync(Key(0), Value(0, 1, 700));
        int torn = 0;
        Task reading = Task.Factory.StartNew(
            () =>
            {
                using CancellationTokenSource limit = new(TimeSpan.FromSeconds(30));
                byte[] copy = new byte[700];
                while (Volatile.Read(ref torn) == 0 && !limit.IsCancellationRequested)
                {
                    CopyUnchecked(memory, copy);
                    if (copy.AsSpan(8).IndexOfAnyExcept(copy[8]) >= 0)
                        Volatile.Write(ref torn, 1);
                }
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        for (int i = 0; !reading.IsCompleted; i++)
            await store.PutAsync(Key(0), Value(0, (byte)i, 700));
        await reading;
        Assert.Equal(1, torn);
    }

    private static unsafe void CopyUnchecked(PlainMemory memory, byte[] destination)
    {
        StripeReader reader = new(memory.Base, new StripeLayout(memory.ChunkBytes));
        Assert.True(reader.TryFind(KeyHash.Of(Key(0)), Key(0), out int place));
        new ReadOnlySpan<byte>(memory.Base + place + BlockHeader.Bytes + Key(0).Length, destination.Length).CopyTo(destination);
    }

    /// <summary>The key's number, then one byte again and again.</summary>
    private static byte[] Value(int number, byte fill, int length)
    {
        byte[] value = new byte[length];
        value.AsSpan().Fill(fill);
        BitConverter.TryWriteBytes(value, (long)number);
        return value;
    }

    private static void AssertWhole(int number, ReadOnlySpan<byte> value)
    {
        Assert.Equal(number, BitConverter.ToInt64(value));
        Assert.True(value.Length == 8 || value[8..].IndexOfAnyExcept(value[8]) < 0, "A value is of two writes.");
    }
}
