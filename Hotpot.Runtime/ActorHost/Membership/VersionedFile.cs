using System.Globalization;

namespace Hotpot.Actors;

// A file with versions, which many processes may replace at once, and no update is lost.
//
// Version n of "name" in a directory is the file "name.n". A writer that has seen version n creates "name.<n+1>"
// (DurableFile.TryCreate), which succeeds for one writer only. A reader lists the directory and takes the highest
// version.
//
// A listing shows every file that is there from its beginning to its end, and may miss what comes or goes meanwhile. So
// the winner removes only versions that are far behind its own: a reader would have to miss VersionsKept updates within
// one listing, some 20 us, to miss them all.
//
// A writer may have been stopped for so long that n+1 came and was removed again; then its create succeeds though it is
// stale. So after creating, it looks whether there is a higher version, and if so takes its file away and has lost.
// Readers never saw it, since they take the highest.
internal sealed class VersionedFile(string directory, string name, bool survivesPowerLoss)
{
    private const int VersionsKept = 8;

    /// <summary>The newest version and its content; version 0 and null when there is none.</summary>
    public (long Version, byte[]? Content) Read()
    {
        while (true)
        {
            var newest = Newest();
            if (newest == 0)
                return (0, null);
            try
            {
                return (newest, File.ReadAllBytes(PathOf(newest)));
            }
            catch (FileNotFoundException)
            {
                // Newer versions have come since, and this one was removed; look again.
            }
        }
    }

    /// <summary>Writes the version after the one that was seen. Returns false when someone else did.</summary>
    public bool TryReplace(long seen, ReadOnlySpan<byte> content)
    {
        DurableFile.CreateDirectory(directory, survivesPowerLoss);
        if (Newest() != seen || !DurableFile.TryCreate(PathOf(seen + 1), content, survivesPowerLoss))
            return false;
        var versions = Versions();
        if (versions.Max() > seen + 1)
        {
            File.Delete(PathOf(seen + 1));
            return false;
        }

        foreach (var old in versions.Where(version => version <= seen + 1 - VersionsKept))
            File.Delete(PathOf(old));
        return true;
    }

    public string PathOf(long version) => Path.Combine(directory, string.Create(CultureInfo.InvariantCulture, $"{name}.{version}"));

    public long Newest() => Versions().DefaultIfEmpty().Max();

    private List<long> Versions()
    {
        try
        {
            var versions = new List<long>();
            foreach (var path in Directory.EnumerateFiles(directory, name + ".*"))
            {
                // Files that are being written have more after the number, and are no versions.
                if (long.TryParse(Path.GetFileName(path.AsSpan())[(name.Length + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var version))
                    versions.Add(version);
            }

            return versions;
        }
        catch (DirectoryNotFoundException)
        {
            return [];
        }
    }
}
