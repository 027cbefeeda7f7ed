using System.Net.Http.Headers;
using System.Text;
using Hotpot.Bench.Benches.Commit;
using Hotpot.Bench.Harness;
using Hotpot.Bench.Node;

namespace Hotpot.Bench.Benches.CommitFile;

/// <summary>Writers with a connection each that put one key through the HTTP gateway of the leader.</summary>
internal sealed class EtcdWritersWorkload : IWorkload
{
    public const string Kind = "etcd-writers";

    private readonly HttpClient _http;
    private readonly Uri _put;
    private readonly Records[] _records;

    private EtcdWritersWorkload(string endpoint, int writers, int bytes)
    {
        _http = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = writers });
        _put = new Uri(endpoint + "/v3/kv/put");
        _records = [.. Enumerable.Range(0, writers).Select(_ => new Records(1, bytes))];
    }

    public static WorkloadSpec Spec(string endpoint, int writers, int bytes) => new()
    {
        Kind = Kind, Parameters = new() { ["endpoint"] = endpoint, ["writers"] = $"{writers}", ["bytes"] = $"{bytes}" },
    };

    public static Task<IWorkload> CreateAsync(WorkloadContext context) => Task.FromResult<IWorkload>(
        new EtcdWritersWorkload(context.Spec["endpoint"], (int)context.Spec.Number("writers"), (int)context.Spec.Number("bytes")));

    public Task<Turn> RunAsync(int operations, TimeSpan limit) => WriterLoops.RunAsync(_records.Length, limit, WriteAsync);

    public ValueTask DisposeAsync()
    {
        _http.Dispose();
        return ValueTask.CompletedTask;
    }

    private async ValueTask WriteAsync(int writer)
    {
        var key = Convert.ToBase64String(Encoding.UTF8.GetBytes($"writer-{writer}"));
        var value = Convert.ToBase64String(_records[writer].NextBytes());
        using var body = new ByteArrayContent(Encoding.UTF8.GetBytes($$"""{"key":"{{key}}","value":"{{value}}"}"""));
        body.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        using var answer = await _http.PostAsync(_put, body).ConfigureAwait(false);
        answer.EnsureSuccessStatusCode();
        await answer.Content.ReadAsByteArrayAsync().ConfigureAwait(false);
    }
}
