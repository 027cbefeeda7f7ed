using System.Globalization;
using System.Text;

namespace Hotpot.Actors;

/// <summary>The files of a cluster directory and their names.</summary>
internal sealed class ClusterDirectory
{
    // sun_path is 108 bytes with its closing zero.
    private const int MaxSocketPathBytes = 107;

    // "/s/" + a number of up to 5 digits + "-" + a generation of up to 10 digits + ".hb"
    private const int SocketNameBytes = 3 + 5 + 1 + 10 + 3;

    public ClusterDirectory(string path)
    {
        if (string.IsNullOrWhiteSpace(path))
            throw new OrleansConfigurationException(
                "No cluster directory is set; call UseEmbeddedClustering with a directory that all silos of this machine share.");
        Root = Path.GetFullPath(path);
        var room = MaxSocketPathBytes - SocketNameBytes;
        if (Encoding.UTF8.GetByteCount(Root) > room)
            throw new OrleansConfigurationException(
                $"The path of the cluster directory {Root} is too long for the sockets in it; choose one of at most {room} bytes.");
    }

    public string Root { get; }

    public string Membership => Path.Combine(Root, "membership");

    public void Create()
    {
        Directory.CreateDirectory(Root);
        Directory.CreateDirectory(Path.Combine(Root, "silos"));
        Directory.CreateDirectory(Path.Combine(Root, "s"));
    }

    public string LifeLock(SiloAddress silo) => Path.Combine(Root, "silos", FileName(silo) + ".lock");

    public string CallSocket(SiloAddress silo) => Path.Combine(Root, "s", FileName(silo));

    public string HeartbeatSocket(SiloAddress silo) => Path.Combine(Root, "s", FileName(silo) + ".hb");

    public string Storage(string name) => Path.Combine(Root, "storage", Uri.EscapeDataString(name));

    private static string FileName(SiloAddress silo) =>
        string.Create(CultureInfo.InvariantCulture, $"{silo.Endpoint.Port}-{silo.Generation}");
}
