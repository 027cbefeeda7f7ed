using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Hotpot.Bench.Harness;

namespace Hotpot.Bench.Peers;

/// <summary>How both processes of a pair wait for a message.</summary>
internal enum UcxWait
{
    /// <summary>In epoll, on the event descriptor of the UCX worker.</summary>
    Block,

    /// <summary>By asking again and again; a process that shares its only core gives it away each time.</summary>
    Spin,
}

/// <summary>Two processes that speak plain UCX to each other, placed as the silos are: the floor that round trips and streams are compared with.</summary>
/// <remarks>What they do and say is at the head of Native/src/pair.h and Native/src/main.cpp. One turn at a time.</remarks>
internal sealed class UcxPair : IAsyncDisposable
{
    private const string Program = "hotpot-ucx";

    private static readonly TimeSpan s_startTimeout = TimeSpan.FromSeconds(20);

    // Beyond a turn's own limit; the client itself gives up on its server after 10 s.
    private static readonly TimeSpan s_answerTimeout = TimeSpan.FromSeconds(30);

    private readonly End _server;
    private readonly End _client;

    private UcxPair(End server, End client, string transports)
    {
        _server = server;
        _client = client;
        Transports = transports;
    }

    /// <summary>As in UCX_TLS.</summary>
    public string Transports { get; }

    /// <param name="transports">As <see cref="BenchCluster.StartAsync"/> takes it: "tcp", or null for shared memory.</param>
    public static async Task<UcxPair> StartAsync(Placement placement, string? transports, CancellationToken cancellation)
    {
        // The same choice that the fabric makes for shared memory; its TCP is a stream of its own, UCX's is the peer all the same.
        var chosen = transports ?? "posix";
        var server = End.Start(placement, "server", chosen);
        var client = End.Start(placement, "client", chosen);
        try
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            limit.CancelAfter(s_startTimeout);
            var serverAddress = await server.ReadAsync("address ", limit.Token);
            var clientAddress = await client.ReadAsync("address ", limit.Token);
            await server.WriteAsync("peer " + clientAddress, limit.Token);
            await client.WriteAsync("peer " + serverAddress, limit.Token);
            await server.ReadAsync("ready", limit.Token);
            await client.ReadAsync("ready", limit.Token);
            return new UcxPair(server, client, chosen);
        }
        catch (Exception exception)
        {
            await client.DisposeAsync();
            await server.DisposeAsync();
            if (exception is OperationCanceledException && !cancellation.IsCancellationRequested)
                throw new IOException($"The two {Program} processes did not meet within {s_startTimeout.TotalSeconds:0} s.", exception);
            throw;
        }
    }

    /// <summary>Round trips: a request of so many bytes, an answer of so many.</summary>
    public Side PingPong(UcxWait wait, int requestBytes, int answerBytes, int operations, TimeSpan limit) =>
        new(
            $"UCX, {Describe(wait)}",
            cancellation => RunAsync(new Order(wait, "keep", requestBytes, answerBytes, PieceBytes(answerBytes), operations, limit), times: true, cancellation));

    /// <summary>
    /// One answer of many bytes, in messages of so many, into the client's memory, where it is read word by word. An operation is a MiB, so that rates are
    /// MiB/s.
    /// </summary>
    /// <param name="newMemory">Into memory that the client has not had before, as a cache that keeps what it reads; else into one buffer, again and again.</param>
    public Side Stream(UcxWait wait, long bytes, int messageBytes, bool newMemory, TimeSpan limit) =>
        new(
            $"UCX stream{(newMemory ? " into new memory" : "")}, {Describe(wait)}",
            cancellation => RunAsync(
                new Order(wait, newMemory ? "sum-new" : "sum", RequestBytes: 64, bytes, messageBytes, Count: 1, limit), times: false, cancellation));

    public async ValueTask DisposeAsync()
    {
        await _client.DisposeAsync();
        await _server.DisposeAsync();
    }

    /// <summary>The turn that one line of the client's output tells of.</summary>
    internal static Turn ParseTurn(string line, bool times, long answerBytes)
    {
        using var json = JsonDocument.Parse(line);
        var us = json.RootElement.GetProperty("us").EnumerateArray().Select(value => value.GetDouble()).ToArray();
        return new Turn
        {
            Us = times ? us : [],
            Operations = times ? us.Length : us.Length * answerBytes >> 20,
            Seconds = json.RootElement.GetProperty("seconds").GetDouble(),
        };
    }

    private static string Describe(UcxWait wait) => wait == UcxWait.Block ? "blocking" : "spinning";

    /// <summary>The server wants pieces that divide its buffer, whose size is a power of two.</summary>
    private static int PieceBytes(int answerBytes) => (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Max(answerBytes, 1));

    private async Task<Turn> RunAsync(Order order, bool times, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(order.Limit + s_answerTimeout);
        await _client.WriteAsync(order.ToString(), limit.Token);
        return ParseTurn(await _client.ReadAsync("", limit.Token), times, order.AnswerBytes);
    }

    private sealed record Order(UcxWait Wait, string Use, int RequestBytes, long AnswerBytes, int PieceBytes, int Count, TimeSpan Limit)
    {
        public override string ToString() => string.Create(
            CultureInfo.InvariantCulture,
            $"turn {(Wait == UcxWait.Block ? "block" : "spin")} {Use} {RequestBytes} {AnswerBytes} {PieceBytes} {Count} {(long)Limit.TotalMilliseconds}");
    }

    /// <summary>One process of the pair. It ends by itself when its standard input does, so it never outlives the benchmark.</summary>
    private sealed class End : IAsyncDisposable
    {
        private static readonly TimeSpan s_endTimeout = TimeSpan.FromSeconds(5);

        private readonly string _role;
        private readonly Process _process;
        private readonly Task<string> _errors;

        private End(string role, Process process)
        {
            _role = role;
            _process = process;
            _errors = process.StandardError.ReadToEndAsync();
        }

        public static End Start(Placement placement, string role, string transports)
        {
            string[] command = [.. placement.Launcher, Path.Combine(AppContext.BaseDirectory, Program), role, transports];
            var start = new ProcessStartInfo(command[0], command[1..]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
            return new End(role, Process.Start(start) ?? throw new IOException($"The program {command[0]} did not start."));
        }

        public async Task WriteAsync(string line, CancellationToken cancellation)
        {
            await _process.StandardInput.WriteLineAsync(line.AsMemory(), cancellation);
            await _process.StandardInput.FlushAsync(cancellation);
        }

        public async Task<string> ReadAsync(string prefix, CancellationToken cancellation)
        {
            var line = await _process.StandardOutput.ReadLineAsync(cancellation);
            if (line is not null && line.StartsWith(prefix, StringComparison.Ordinal))
                return line[prefix.Length..];
            throw new IOException(line is null ? $"The UCX {_role} ended: {(await _errors.WaitAsync(cancellation)).Trim()}" : $"The UCX {_role} said '{line}'.");
        }

        public async ValueTask DisposeAsync()
        {
            _process.StandardInput.Close();
            using var limit = new CancellationTokenSource(s_endTimeout);
            try
            {
                await _process.WaitForExitAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                _process.Kill();
                await _process.WaitForExitAsync(CancellationToken.None);
            }

            await _errors;
            _process.Dispose();
        }
    }
}
