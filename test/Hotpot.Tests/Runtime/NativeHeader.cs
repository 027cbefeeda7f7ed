using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace Hotpot.Tests.Runtime;

/// <summary>One member of a structure of hotpot.h, laid out as the System V ABI of x86-64 does it.</summary>
internal sealed record NativeField(string Name, int Offset, int Size);

internal sealed record NativeStruct(string Name, int Size, int Alignment, IReadOnlyList<NativeField> Fields);

/// <summary>
/// Reads the C ABI out of hotpot.h, so that the managed structures are compared with the header itself and not with numbers that
/// somebody copied from it. It knows the few declarations that the header uses and fails on any other.
/// </summary>
internal sealed partial class NativeHeader
{
    private readonly Dictionary<string, int> _constants = [];
    private readonly Dictionary<string, NativeStruct> _structs = [];
    private readonly Dictionary<string, IReadOnlyDictionary<string, int>> _enums = [];

    private NativeHeader(string text)
    {
        string code = Comment().Replace(text, "");
        foreach (Match define in Define().Matches(code))
            _constants[define.Groups["name"].Value] = int.Parse(define.Groups["value"].Value, CultureInfo.InvariantCulture)
                << (define.Groups["shift"] is { Success: true } shift ? int.Parse(shift.Value, CultureInfo.InvariantCulture) : 0);
        foreach (Match definition in Enum().Matches(code))
            _enums[definition.Groups["name"].Value] = definition.Groups["body"].Value
                .Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
                .Select(line => line.Split('=', StringSplitOptions.TrimEntries))
                .ToDictionary(pair => pair[0], pair => int.Parse(pair[1], CultureInfo.InvariantCulture));
        foreach (Match definition in Struct().Matches(code))
        {
            NativeStruct parsed = Parse(definition.Groups["name"].Value, definition.Groups["body"].Value);
            _structs[parsed.Name] = parsed;
        }
    }

    public static NativeHeader Load([CallerFilePath] string thisFile = "") =>
        new(File.ReadAllText(Path.Combine(Repository.Root(thisFile), "Hotpot.Runtime", "Native", "include", "hotpot.h")));

    public int Constant(string name) => _constants[name];

    public NativeStruct Structure(string name) => _structs[name];

    public IReadOnlyDictionary<string, int> Enumeration(string name) => _enums[name];

    public IEnumerable<string> StructNames => _structs.Keys;

    private NativeStruct Parse(string name, string body)
    {
        List<NativeField> fields = [];
        int offset = 0;
        int alignment = 1;
        foreach (string declaration in body.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            Match match = Declaration().Match(declaration);
            Assert.True(match.Success, $"This test cannot read '{declaration}' of {name}; teach it.");
            foreach (string declarator in match.Groups["names"].Value.Split(',', StringSplitOptions.TrimEntries))
            {
                Match part = Declarator().Match(declarator);
                Assert.True(part.Success, $"This test cannot read '{declarator}' of {name}; teach it.");
                (int size, int align) = part.Groups["pointer"].Success ? (8, 8) : SizeOf(match.Groups["type"].Value);
                int count = part.Groups["count"] is { Success: true } group ? Count(group.Value) : 1;
                offset = (offset + align - 1) / align * align;
                fields.Add(new NativeField(part.Groups["name"].Value, offset, size * count));
                offset += size * count;
                alignment = Math.Max(alignment, align);
            }
        }
        return new NativeStruct(name, (offset + alignment - 1) / alignment * alignment, alignment, fields);
    }

    private (int Size, int Alignment) SizeOf(string type) => type switch
    {
        "char" or "uint8_t" => (1, 1),
        "int32_t" or "uint32_t" => (4, 4),
        "uint64_t" => (8, 8),
        _ => (_structs[type].Size, _structs[type].Alignment),
    };

    private int Count(string text) => int.TryParse(text, CultureInfo.InvariantCulture, out int count) ? count : _constants[text];

    [GeneratedRegex(@"/\*.*?\*/", RegexOptions.Singleline)]
    private static partial Regex Comment();

    [GeneratedRegex(@"^#define (?<name>HP_\w+) \(?(?<value>\d+)u( << (?<shift>\d+)\))?\s*$", RegexOptions.Multiline)]
    private static partial Regex Define();

    [GeneratedRegex(@"typedef enum \w+ \{(?<body>[^}]*)\} (?<name>\w+);")]
    private static partial Regex Enum();

    [GeneratedRegex(@"typedef struct \w+ \{(?<body>[^}]*)\} (?<name>\w+);")]
    private static partial Regex Struct();

    [GeneratedRegex(@"^(const )?(?<type>\w+) (?<names>.+)$", RegexOptions.Singleline)]
    private static partial Regex Declaration();

    [GeneratedRegex(@"^(?<pointer>\*)?(?<name>\w+)(\[(?<count>\w+)\])?$")]
    private static partial Regex Declarator();
}
