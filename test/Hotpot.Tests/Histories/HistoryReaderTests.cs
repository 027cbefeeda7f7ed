using Hotpot.Histories;
using Hotpot.Histories.Json;

namespace Hotpot.Tests.Histories;

public class HistoryReaderTests
{
    private const string Good = """{"client":"c3","node":"1","id":17,"kind":"list","accesses":[{"kind":"read","key":"x","values":[4,9]},{"kind":"append","key":"y","values":[12]}],"invoke_us":1000,"complete_us":1350,"outcome":"ok"}""";

    [Fact]
    public void AReportShowsTheEndOfALongList()
    {
        Assert.Equal("read x [1 2 3 4 5 6 7 8 9 10 11 12 13]", Access.Read("x", [.. Enumerable.Range(1, 13).Select(value => (long)value)]).ToString());
        Assert.Equal("read x [2 others 3 4 5 6 7 8 9 10 11 12 13 14]", Access.Read("x", [.. Enumerable.Range(1, 14).Select(value => (long)value)]).ToString());
    }

    [Fact]
    public void A_line_is_an_operation()
    {
        var operation = Assert.Single(Read(Good + "\n").Operations);
        Assert.Equal("c3/17 on 1 at 1000..1350 us, Ok: read x [4 9], append y [12]", operation.ToString());
        Assert.Equal(Workload.List, operation.Kind);
    }

    [Theory]
    [InlineData(Workload.Register)]
    [InlineData(Workload.List)]
    [InlineData(Workload.Bank)]
    [InlineData(Workload.Counter)]
    public void What_is_written_is_read(Workload kind)
    {
        var history = SimulatedStore.Run(1, kind, clients: 4, operationsEach: 50);
        using var text = new StringWriter();
        var writer = new HistoryWriter(text);
        foreach (var operation in history.Operations)
        {
            writer.Begin(operation);
            writer.Write(operation);
        }
        var read = Read(text.ToString()).Operations;
        Assert.Equal(history.Operations.Select(operation => operation.ToString()), read.Select(operation => operation.ToString()));
        Assert.Equal(history.Operations.SelectMany(operation => operation.Accesses.Select(access => access.Values)), read.SelectMany(operation => operation.Accesses.Select(access => access.Values)));
    }

    [Fact]
    public void An_operation_that_was_only_begun_is_unknown_and_half_a_last_line_is_nothing()
    {
        using var text = new StringWriter();
        var writer = new HistoryWriter(text);
        writer.Begin(new Operation("c", "1", 1, Workload.Register, [Access.Write("x", 1)], 10, 20, Outcome.Ok));
        var operation = Assert.Single(Read(text + Good[..40]).Operations);
        Assert.Equal((Outcome.Unknown, (long?)null), (operation.Outcome, operation.CompleteUs));
    }

    [Theory]
    [InlineData("half a line in the middle", "{\"client\":\"c3\",\n" + Good, "Line 1")]
    [InlineData("an unknown field", """{"client":"c","node":"1","id":1,"kind":"list","accesses":[{"kind":"read","key":"x"}],"invoke_us":1,"complete_us":2,"outcome":"unknown","more":1}""" + "\n", "Line 1")]
    [InlineData("a missing field", """{"client":"c","node":"1","id":1,"kind":"list","accesses":[{"kind":"read","key":"x"}],"complete_us":2,"outcome":"unknown"}""" + "\n", "Line 1")]
    [InlineData("an outcome twice", Good + "\n" + Good + "\n", "Line 2")]
    [InlineData("known and without an end", """{"client":"c","node":"1","id":1,"kind":"register","accesses":[{"kind":"write","key":"x","values":[1]}],"invoke_us":1,"complete_us":null,"outcome":"ok"}""" + "\n", "no time of completion")]
    [InlineData("ends before it begins", """{"client":"c","node":"1","id":1,"kind":"register","accesses":[{"kind":"write","key":"x","values":[1]}],"invoke_us":3,"complete_us":2,"outcome":"ok"}""" + "\n", "ends before it begins")]
    [InlineData("an access of another kind", """{"client":"c","node":"1","id":1,"kind":"register","accesses":[{"kind":"append","key":"x","values":[1]}],"invoke_us":1,"complete_us":2,"outcome":"ok"}""" + "\n", "Append")]
    [InlineData("a transfer that makes money", """{"client":"c","node":"1","id":1,"kind":"bank","accesses":[{"kind":"add","key":"x","values":[1]}],"invoke_us":1,"complete_us":2,"outcome":"ok"}""" + "\n", "money")]
    public void What_breaks_a_rule_is_refused_with_its_place(string what, string text, string expected)
    {
        var error = Assert.Throws<HistoryException>(() => Read(text));
        Assert.True(error.Message.Contains(expected, StringComparison.Ordinal), $"{what}: {error.Message}");
    }

    [Fact]
    public void A_client_that_does_two_things_at_once_is_refused() =>
        Assert.Throws<HistoryException>(() => HistoryBuilder.Registers.OkBy("c", 0, 20, Access.Write("x", 1)).OkBy("c", 10, 30, Access.Write("x", 2)).Build());

    private static History Read(string text)
    {
        using var reader = new StringReader(text);
        return HistoryReader.Read(reader, "a.jsonl");
    }
}
