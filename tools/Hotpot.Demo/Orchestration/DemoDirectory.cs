using System.Security.Cryptography;

namespace Hotpot.Demo.Orchestration;

/// <summary>The folder of one run, with everything the nodes write. It is removed at the end unless it is to be kept.</summary>
internal sealed class DemoDirectory : IDisposable
{
    private const string SharedMemory = "/dev/shm";

    // Three redo logs with their first segments, three stores and three fronts stay well below this.
    private const long SharedMemoryBytesMin = 2L << 30;

    private readonly bool _keep;

    private DemoDirectory(string path, bool isSharedMemory, bool keep)
    {
        _keep = keep;
        Path = path;
        Medium = isSharedMemory ? Medium.Pmem : Medium.File;
        Directory.CreateDirectory(ClusterDirectory);
        File.WriteAllText(KeyFile, Convert.ToHexString(RandomNumberGenerator.GetBytes(32)));
    }

    public string Path { get; }

    /// <summary>Shared memory stands in for persistent memory: it is written through libpmem, and survives a process but not the machine.</summary>
    public Medium Medium { get; }

    public string ClusterDirectory => System.IO.Path.Combine(Path, "cluster");

    public string KeyFile => System.IO.Path.Combine(Path, "cluster.key");

    public string CopyFile => System.IO.Path.Combine(Path, "copy");

    public string DataDirectory(int node) => System.IO.Path.Combine(Path, $"node-{node}");

    public string LogFile(int node) => System.IO.Path.Combine(Path, $"node-{node}.log");

    public static DemoDirectory Create(string? wanted, bool keep)
    {
        if (wanted is not null)
        {
            // A folder of our own inside, so that cleaning up can never remove what was there before.
            var parent = System.IO.Path.GetFullPath(wanted);
            Directory.CreateDirectory(parent);
            return new DemoDirectory(Unique(parent), parent.StartsWith(SharedMemory, StringComparison.Ordinal), keep);
        }

        return HasRoom()
            ? new DemoDirectory(Unique(SharedMemory), isSharedMemory: true, keep)
            : new DemoDirectory(Unique(System.IO.Path.GetTempPath()), isSharedMemory: false, keep);
    }

    public void Dispose()
    {
        if (!_keep)
            Directory.Delete(Path, recursive: true);
    }

    private static bool HasRoom() => Directory.Exists(SharedMemory) && new DriveInfo(SharedMemory).AvailableFreeSpace >= SharedMemoryBytesMin;

    private static string Unique(string parent) => System.IO.Path.Combine(parent, $"hotpot-demo-{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(4))}");
}
