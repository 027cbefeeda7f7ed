using Hotpot.Bench.Harness;
using Hotpot.Bench.Peers;

namespace Hotpot.Tests.Bench;

public sealed class UcxPairTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(10);

    [Theory]
    [InlineData(null)]
    [InlineData("tcp")]
    public async Task Turns_of_every_kind_follow_each_other(string? transports)
    {
        await using var pair = await UcxPair.StartAsync(Placement.Free, transports, CancellationToken.None);
        foreach (var wait in Enum.GetValues<UcxWait>())
        {
            var small = await pair.PingPong(wait, requestBytes: 1024, answerBytes: 40, operations: 5, s_limit).RunAsync(CancellationToken.None);
            Assert.Equal(5, small.Us.Length);
            Assert.All(small.Us, us => Assert.True(us > 0));
            var page = await pair.PingPong(wait, requestBytes: 44, answerBytes: 4096, operations: 5, s_limit).RunAsync(CancellationToken.None);
            Assert.Equal(5, page.Operations);
            // The client itself compares the sum of what arrived with the sum of what was sent.
            foreach (var newMemory in new[] { false, true })
            {
                var stream = await pair.Stream(wait, bytes: 80 << 20, messageBytes: 1 << 20, newMemory, s_limit).RunAsync(CancellationToken.None);
                Assert.Empty(stream.Us);
                Assert.Equal(80, stream.Operations);
            }
        }
    }

    [Fact]
    public async Task A_transport_that_does_not_exist_is_told_in_a_sentence()
    {
        var exception = await Assert.ThrowsAsync<IOException>(() => UcxPair.StartAsync(Placement.Free, "no_such_transport", CancellationToken.None));

        Assert.Contains("hotpot-ucx: UCX cannot use the transports", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_line_of_the_client_is_a_turn()
    {
        const string Line = """{"seconds":0.5,"us":[1.5,2.25]}""";

        var times = UcxPair.ParseTurn(Line, times: true, answerBytes: 4096);
        Assert.Equal([1.5, 2.25], times.Us);
        Assert.Equal((2, 0.5), (times.Operations, times.Seconds));
        var rate = UcxPair.ParseTurn(Line, times: false, answerBytes: 3 << 20);
        Assert.Empty(rate.Us);
        Assert.Equal(6, rate.Operations);
    }
}
