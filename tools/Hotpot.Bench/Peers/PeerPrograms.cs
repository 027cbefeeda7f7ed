namespace Hotpot.Bench.Peers;

/// <summary>Where Debian puts the programs of the peers.</summary>
internal static class PeerPrograms
{
    private const string PostgresVersions = "/usr/lib/postgresql";

    private static readonly string[] s_folders = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/bin", "/sbin"];

    /// <exception cref="PeerNotInstalledException">It is not on this machine.</exception>
    public static string Find(string program) =>
        s_folders.Select(folder => Path.Combine(folder, program)).FirstOrDefault(File.Exists) ?? throw new PeerNotInstalledException(program);

    /// <summary>A program of the newest PostgreSQL server; these are not on the search path.</summary>
    /// <exception cref="PeerNotInstalledException">It is not on this machine.</exception>
    public static string FindPostgres(string program)
    {
        var versions = Directory.Exists(PostgresVersions) ? Directory.GetDirectories(PostgresVersions) : [];
        return versions
            .Select(folder => (Version: int.TryParse(Path.GetFileName(folder), out var number) ? number : 0, Program: Path.Combine(folder, "bin", program)))
            .OrderByDescending(found => found.Version)
            .Select(found => found.Program)
            .FirstOrDefault(File.Exists) ?? throw new PeerNotInstalledException($"PostgreSQL ({program})");
    }
}
