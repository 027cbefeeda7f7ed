using System.Globalization;
using System.Numerics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Options;

namespace Hotpot.Actors;

// Grain storage in files of the cluster directory.
//
// One record is a directory of its own, and in it a file with versions (VersionedFile.cs): a line of text, then JSON.
//
//     hotpot-grain-state 1 <crc32c of the JSON, 8 hex digits> <length of the JSON in bytes>\n { ... }
//
// The ETag is the version. A writer with ETag n creates version n+1, which only one can; the others get
// InconsistentStateException, also when they are in different processes. This is what makes a duplicate activation
// harmless: it cannot write. No lock is held meanwhile, so a silo that is stopped in the middle of a write keeps nobody
// waiting.
//
// A cleared record is a version without JSON. It stays, so that its number is never given again and an old ETag never
// matches.
//
// A write has returned when the file and its name are synced.
internal sealed class EmbeddedGrainStorage
{
    private const string Magic = "hotpot-grain-state";
    private const int MaxHeaderBytes = 256;

    private readonly string _root;
    private readonly Silo _silo;

    public EmbeddedGrainStorage(string name, IOptions<EmbeddedClusteringOptions> options, Silo silo)
    {
        _root = new ClusterDirectory(options.Value.Directory).Storage(name);
        _silo = silo;
        Directory.CreateDirectory(_root);
    }

    public Task<(string? Etag, T? State)> ReadAsync<T>(string stateName, GrainId grain, CancellationToken cancellationToken) => Task.Run(
        () =>
        {
            var file = FileOf(stateName, grain);
            var (version, content) = file.Read();
            if (content is null)
                return (null, default(T));
            var json = Unwrap(file.PathOf(version), content);
            return json.IsEmpty ? (null, default(T)) : (EtagOf(version), Deserialize<T>(file.PathOf(version), json));
        },
        cancellationToken);

    /// <summary>Returns the new ETag.</summary>
    public Task<string> WriteAsync<T>(string stateName, GrainId grain, string? etag, T state, CancellationToken cancellationToken)
    {
        // Before the first await: the grain may go on changing its state while the file is written.
        var json = JsonSerializer.SerializeToUtf8Bytes(state, WireJson.Stored);
        return Task.Run(() => Replace(stateName, grain, etag, json), cancellationToken);
    }

    public Task ClearAsync(string stateName, GrainId grain, string? etag, CancellationToken cancellationToken) => Task.Run(
        () =>
        {
            if (etag is not null)
                Replace(stateName, grain, etag, []);
        },
        cancellationToken);

    /// <summary>The file that holds a record now.</summary>
    public string PathOf(string stateName, GrainId grain)
    {
        var file = FileOf(stateName, grain);
        return file.PathOf(file.Newest());
    }

    private static string EtagOf(long version) => version.ToString(CultureInfo.InvariantCulture);

    private string Replace(string stateName, GrainId grain, string? etag, byte[] json)
    {
        _silo.Membership.EnsureAlive();
        var file = FileOf(stateName, grain);
        var seen = VersionSeen(file, etag);
        var header = string.Create(CultureInfo.InvariantCulture, $"{Magic} 1 {Checksum(json):x8} {json.Length}\n");
        if (seen < 0 || !file.TryReplace(seen, [.. Encoding.ASCII.GetBytes(header), .. json]))
        {
            var stored = EtagOf(file.Newest());
            throw new InconsistentStateException(
                $"The record of {grain} in {_root} was changed by someone else: it has ETag {stored}, the writer has {etag ?? "none"}. Read it again.",
                stored,
                etag);
        }

        return EtagOf(seen + 1);
    }

    /// <summary>The version that an ETag stands for; negative when that version cannot be the newest.</summary>
    private static long VersionSeen(VersionedFile file, string? etag)
    {
        if (etag is not null)
            return long.TryParse(etag, NumberStyles.None, CultureInfo.InvariantCulture, out var version) ? version : -1;

        // Without an ETag the record must be absent: never written, or cleared.
        var (newest, content) = file.Read();
        return content is null || Unwrap(file.PathOf(newest), content).IsEmpty ? newest : -1;
    }

    /// <summary>Keys are escaped to what a file name may hold, and long ones end in a hash.</summary>
    private VersionedFile FileOf(string stateName, GrainId grain)
    {
        var key = grain.Key.ToString();
        var name = Uri.EscapeDataString(key).Replace(".", "%2E", StringComparison.Ordinal);
        if (name.Length > 160)
            name = string.Concat(name.AsSpan(0, 120), "~", Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(key)).AsSpan(0, 16)));
        var directory = Path.Combine(_root, Uri.EscapeDataString(grain.Type.ToString()), name);
        return new VersionedFile(directory, Uri.EscapeDataString(stateName), survivesPowerLoss: true);
    }

    private static ReadOnlyMemory<byte> Unwrap(string path, byte[] content)
    {
        var end = content.AsSpan(0, Math.Min(content.Length, MaxHeaderBytes)).IndexOf((byte)'\n');
        var fields = end < 0 ? [] : Encoding.ASCII.GetString(content, 0, end).Split(' ');
        var json = content.AsMemory(end + 1);
        if (fields.Length != 4 || fields[0] != Magic || fields[1] != "1")
            throw Damaged(path, "its first line is not that of a grain record");
        var expected = string.Create(CultureInfo.InvariantCulture, $"{Checksum(json.Span):x8} {json.Length}");
        if ($"{fields[2]} {fields[3]}" != expected)
            throw Damaged(path, "its content does not match its checksum");
        return json;
    }

    private static OrleansException Damaged(string path, string how) => new(
        $"The grain record {path} is damaged: {how}. Restore it from a backup, or delete it to go back to the version before it.");

    private static uint Checksum(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        foreach (var value in bytes)
            crc = BitOperations.Crc32C(crc, value);
        return ~crc;
    }

    private static T? Deserialize<T>(string path, ReadOnlyMemory<byte> json)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(json.Span, WireJson.Stored);
        }
        catch (Exception exception) when (exception is JsonException or NotSupportedException)
        {
            throw new OrleansException(
                $"The grain record {path} is no {typeof(T).Name}; it was written by another version of the program. Run that version.",
                exception);
        }
    }
}

/// <summary>A stored record of one grain, as its constructor gets it.</summary>
internal sealed class PersistentState<TState>(EmbeddedGrainStorage storage, string stateName, GrainId grain) : IPersistentState<TState>, IStorage
{
    public TState State { get; set; } = Create();

    public string? Etag { get; private set; }

    public bool RecordExists => Etag is not null;

    public Task ReadStateAsync() => ReadStateAsync(CancellationToken.None);

    public Task WriteStateAsync() => WriteStateAsync(CancellationToken.None);

    public Task ClearStateAsync() => ClearStateAsync(CancellationToken.None);

    public async Task ReadStateAsync(CancellationToken cancellationToken)
    {
        var (etag, state) = await storage.ReadAsync<TState>(stateName, grain, cancellationToken);
        Etag = etag;
        State = etag is null || state is null ? Create() : state;
    }

    public async Task WriteStateAsync(CancellationToken cancellationToken) =>
        Etag = await storage.WriteAsync(stateName, grain, Etag, State, cancellationToken);

    public async Task ClearStateAsync(CancellationToken cancellationToken)
    {
        await storage.ClearAsync(stateName, grain, Etag, cancellationToken);
        Etag = null;
        State = Create();
    }

    private static TState Create() => typeof(TState).IsValueType || typeof(TState) == typeof(string) ? default! : Activator.CreateInstance<TState>();
}
