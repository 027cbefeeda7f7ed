using Hotpot.Grains.Commit;

namespace Hotpot.Tests.Grains.Commit;

public sealed class StoresWorkTests
{
    [Fact]
    public void TheComplementIsWhatTheRangesLeaveOut()
    {
        const int size = 12;
        ByteRange[] possible =
        [
            .. from offset in Enumerable.Range(0, size) from length in Enumerable.Range(1, size - offset) select new ByteRange(offset, length),
        ];
        foreach (ByteRange first in possible)
        {
            foreach (ByteRange second in possible.Where(range => range.Offset >= first.Offset))
            {
                ByteRange[] outside = [.. StoresWork.Complement([first, second], size)];
                for (int i = 0; i < size; i++)
                    Assert.Equal(!first.Contains(i) && !second.Contains(i), outside.Count(range => range.Contains(i)) == 1);
                Assert.All(outside, range => Assert.True(range.Length > 0 && range.End <= size));
            }
        }
    }

    [Fact]
    public void TheComplementOfNothingIsEverything() => Assert.Equal([new ByteRange(0, 5)], StoresWork.Complement([], 5));
}
