namespace Hotpot.PackageGraph;

/// <summary>One stanza of a Packages index, with the fields that make dependencies.</summary>
public sealed record PackageStanza(string Name, string Provides, IReadOnlyList<string> Dependencies);

/// <summary>Reads Debian's control format: stanzas of "Field: value" lines, divided by empty lines.</summary>
public static class ControlFile
{
    // What `apt-get install` brings in by default. Suggests is left out: nothing needs those packages to be there.
    private static readonly string[] DependencyFields = ["Pre-Depends", "Depends", "Recommends"];

    public static IEnumerable<PackageStanza> Read(TextReader reader)
    {
        ArgumentNullException.ThrowIfNull(reader);
        return ReadStanzas(reader);
    }

    private static IEnumerable<PackageStanza> ReadStanzas(TextReader reader)
    {
        var fields = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        string? field = null;
        while (reader.ReadLine() is { } line)
        {
            if (line.Length == 0)
            {
                if (fields.Count > 0)
                    yield return ToStanza(fields);
                fields.Clear();
                field = null;
            }
            else if (char.IsWhiteSpace(line[0]))
            {
                // A continuation line belongs to the field before it; dependency fields may be folded.
                if (field is null)
                    throw new InvalidDataException($"A package list has the continuation line '{line}' before any field.");
                fields[field] += line;
            }
            else
            {
                var colon = line.IndexOf(':', StringComparison.Ordinal);
                if (colon <= 0)
                    throw new InvalidDataException($"A package list has the line '{line}', which is no field.");
                field = line[..colon];
                fields[field] = line[(colon + 1)..].Trim();
            }
        }

        if (fields.Count > 0)
            yield return ToStanza(fields);
    }

    private static PackageStanza ToStanza(Dictionary<string, string> fields)
    {
        if (!fields.TryGetValue("Package", out var name) || name.Length == 0)
            throw new InvalidDataException("A package list has a stanza without a Package field.");
        var dependencies = DependencyFields.Where(fields.ContainsKey).Select(field => fields[field]).ToArray();
        return new PackageStanza(name, fields.GetValueOrDefault("Provides", ""), dependencies);
    }
}
