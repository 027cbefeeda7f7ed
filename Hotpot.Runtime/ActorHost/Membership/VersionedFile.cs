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
// A writer may be stopped for so long that n+1 comes and is removed again; its create must not succeed then. So it looks
// once more when its file is ready, under a name of its own that begins with "name.<n+1>." (DurableFile), and only then
// gives it the name n+1; and who removes n+1 removes the files that want to become it first. Either the writer sees that it is
// late, or its file was there before n+1 came, and is gone before n+1 goes. So a create that succeeds has won, whatever has
// followed it since.
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
        if (Newest() != seen || !DurableFile.TryCreate(PathOf(seen + 1), content, survivesPowerLoss, () => Newest() == seen))
            return false;
        RemoveUpTo(seen + 1 - VersionsKept);
        return true;
    }

    private void RemoveUpTo(long last)
    {
        List<string> versions = [];
        foreach (var path in Directory.EnumerateFiles(directory, name + ".*"))
        {
            var rest = Path.GetFileName(path.AsSpan())[(name.Length + 1)..];
            var point = rest.IndexOf('.');
            if (!long.TryParse(point < 0 ? rest : rest[..point], NumberStyles.None, CultureInfo.InvariantCulture, out var version) || version > last)
                continue;
            if (point < 0)
                versions.Add(path);
            else
                File.Delete(path);
        }

        // After all that might take their places.
        versions.ForEach(File.Delete);
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
