using Hotpot.Bench.Benches.Commit;

namespace Hotpot.Tests.Bench;

public sealed class RecordsTests
{
    /// <summary>A commit of bytes that are there already would be no commit.</summary>
    [Theory]
    [InlineData(1, 1024)]
    [InlineData(8, 4096)]
    [InlineData(32, 1024)]
    public void A_slot_never_gets_the_bytes_it_holds(int areas, int bytes)
    {
        Records records = new(areas, bytes);
        Dictionary<int, byte[]> slots = [];
        for (int i = 0; i < 10 * Records.Slots; i++)
        {
            int slot = records.NextSlot();
            byte[] next = records.NextBytes().ToArray();
            if (slots.TryGetValue(slot, out byte[]? last))
                Assert.True(next.Zip(last).Count(pair => pair.First != pair.Second) > bytes * 9 / 10);
            slots[slot] = next;
        }

        Assert.Equal(Records.Slots, slots.Count);
    }
}
