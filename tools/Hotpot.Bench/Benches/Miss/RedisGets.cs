using System.Buffers.Binary;
using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;
using Hotpot.Bench.Peers;

namespace Hotpot.Bench.Benches.Miss;

/// <summary>The same pages as values of Redis, asked for in random order; each is copied into the caller's memory, as a miss does.</summary>
internal sealed class RedisGets : IWorkload
{
    public const string Kind = "miss.redis";

    private const int PagesPerWrite = 64;

    private readonly RespClient _client;
    private readonly int _pages;
    private readonly Random _random = new(1);
    private readonly byte[] _page = new byte[Limits.PageBytes];
    private readonly byte[] _key = new byte[sizeof(int)];

    private RedisGets(RespClient client, int pages)
    {
        _client = client;
        _pages = pages;
    }

    public static Task<IWorkload> CreateAsync(WorkloadContext context)
    {
        var gets = new RedisGets(RespClient.Connect(context.Spec["endpoint"]), (int)context.Spec.Number("pages"));
        gets.Load();
        return Task.FromResult<IWorkload>(gets);
    }

    public static WorkloadSpec Spec(string endpoint, long pages) => new() { Kind = Kind, Parameters = { ["endpoint"] = endpoint, ["pages"] = $"{pages}" } };

    public Task<Turn> RunAsync(int operations, TimeSpan limit)
    {
        var clock = new TurnClock(operations, limit);
        while (clock.Begin())
        {
            var page = _random.Next(_pages);
            _client.Append("GET"u8, Key(page));
            _client.Flush();
            var value = _client.ReadBulk();
            value.CopyTo(_page);
            clock.End();
            if (value.Length != _page.Length || BinaryPrimitives.ReadUInt64LittleEndian(_page) != Pattern.WordAt((long)page * Limits.PageBytes))
                throw new IOException($"Redis gave another page {page} than was set.");
        }

        return Task.FromResult(clock.Done());
    }

    public ValueTask DisposeAsync()
    {
        _client.Dispose();
        return ValueTask.CompletedTask;
    }

    private void Load()
    {
        for (var first = 0; first < _pages; first += PagesPerWrite)
        {
            var end = Math.Min(first + PagesPerWrite, _pages);
            for (var page = first; page < end; page++)
            {
                Pattern.Fill(_page, (long)page * Limits.PageBytes);
                _client.Append("SET"u8, Key(page), _page);
            }

            _client.Flush();
            for (var page = first; page < end; page++)
                _client.ReadOk();
        }
    }

    private ReadOnlySpan<byte> Key(int page)
    {
        BinaryPrimitives.WriteInt32LittleEndian(_key, page);
        return _key;
    }
}
