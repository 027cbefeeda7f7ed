using System.Security.Cryptography;

namespace Hotpot.LocalCluster;

/// <summary>The folder of one run, with everything the nodes write. It is removed at the end unless it is to be kept.</summary>
public sealed class ClusterFolder : IDisposable
{
    private const string SharedMemory = "/dev/shm";

    // Three redo logs with their first segments, three stores and three fronts stay well below this.
    private const long SharedMemoryBytesMin = 2L << 30;

    private ClusterFolder(string path, Medium medium, bool keep)
    {
        Keep = keep;
        Path = path;
        Medium = medium;
        Directory.CreateDirectory(ClusterDirectory);
        File.WriteAllText(KeyFile, Convert.ToHexString(RandomNumberGenerator.GetBytes(32)));
    }

    public string Path { get; }

    /// <summary>Shared memory stands in for persistent memory: it is written through libpmem, and survives a process but not the machine.</summary>
    public Medium Medium { get; }

    /// <summary>Written by whoever owns the folder, before it disposes it.</summary>
    public bool Keep { get; set; }

    public string ClusterDirectory => System.IO.Path.Combine(Path, "cluster");

    public string KeyFile => System.IO.Path.Combine(Path, "cluster.key");

    public string DataDirectory(int node) => System.IO.Path.Combine(Path, $"node-{node}");

    public string LogFile(int node) => System.IO.Path.Combine(Path, $"node-{node}.log");

    /// <summary>In a folder that the user has named, or in shared memory if it has room, else in the temporary folder.</summary>
    public static ClusterFolder Create(string program, string? wanted, bool keep)
    {
        if (wanted is not null)
        {
            // A folder of our own inside, so that cleaning up can never remove what was there before.
            var parent = System.IO.Path.GetFullPath(wanted);
            Directory.CreateDirectory(parent);
            return new ClusterFolder(Unique(parent, program), parent.StartsWith(SharedMemory, StringComparison.Ordinal) ? Medium.Pmem : Medium.File, keep);
        }

        return Create(program, HasRoom() ? Medium.Pmem : Medium.File, keep);
    }

    /// <summary>Where this machine has the medium.</summary>
    public static ClusterFolder Create(string program, Medium medium, bool keep) => medium switch
    {
        Medium.Pmem when HasRoom() => new ClusterFolder(Unique(SharedMemory, program), medium, keep),
        Medium.Pmem => throw new LocalClusterException($"There is no room in {SharedMemory}, which stands in for persistent memory; free {SharedMemoryBytesMin >> 20} MiB there, or use the medium file."),
        _ => new ClusterFolder(Unique(System.IO.Path.GetTempPath(), program), medium, keep),
    };

    public void Dispose()
    {
        if (!Keep)
            Directory.Delete(Path, recursive: true);
    }

    private static bool HasRoom() => Directory.Exists(SharedMemory) && new DriveInfo(SharedMemory).AvailableFreeSpace >= SharedMemoryBytesMin;

    private static string Unique(string parent, string program) =>
        System.IO.Path.Combine(parent, $"hotpot-{program}-{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(4))}");
}
