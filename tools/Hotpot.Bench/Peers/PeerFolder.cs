using System.Security.Cryptography;

namespace Hotpot.Bench.Peers;

/// <summary>Where a peer keeps its files.</summary>
internal enum PeerMedium
{
    /// <summary>Memory that stands in for persistent memory: fsync costs nothing there.</summary>
    Tmpfs,

    /// <summary>The disk under the temporary folder.</summary>
    Disk,
}

/// <summary>The folder of a peer's servers, removed with everything in it at the end.</summary>
internal sealed class PeerFolder : IDisposable
{
    private const string SharedMemory = "/dev/shm";

    public PeerFolder(string peer, PeerMedium medium)
    {
        var parent = medium == PeerMedium.Tmpfs ? SharedMemory : System.IO.Path.GetTempPath();
        Path = System.IO.Path.Combine(parent, $"hotpot-{peer}-{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(4))}");
        Directory.CreateDirectory(Path);
    }

    public string Path { get; }

    public string Inside(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>A folder of one server, in this one.</summary>
    public string Create(string name) => Directory.CreateDirectory(Inside(name)).FullName;

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
