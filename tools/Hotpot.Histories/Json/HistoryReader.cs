using System.Text.Json;

namespace Hotpot.Histories.Json;

// The format. One operation a line, as JSON:
//
//   {"client":"c3","node":"1","id":17,"kind":"list","accesses":[{"kind":"read","key":"x","values":[4,9]},
//    {"kind":"append","key":"y","values":[12]}],"invoke_us":1000,"complete_us":1350,"outcome":"ok"}
//
// kind      register | list | bank | counter
// access    read | write | cas | append | add; values as AccessKind says; a read that returned nothing has none or null
// outcome   ok | fail | unknown; only with unknown may complete_us be null
//
// A client may be killed at any moment, also by the test that records it. So it writes an operation twice: before it
// attempts it, as unknown, and when it knows more. The later line of the same client and id replaces the earlier one.
// What a killed client leaves is then a line "unknown", which is the truth. It may also leave half a line at the end of
// its file: either of an operation that it had not begun, or of an outcome that nobody was told. Both may be dropped, and
// only there: anywhere else a line that cannot be read is an error.

/// <summary>Reads histories. Strict: what it does not understand is an error that names the line.</summary>
public static class HistoryReader
{
    /// <summary>Reads one history from the files of several clients.</summary>
    /// <exception cref="HistoryException">A line cannot be read or breaks a rule.</exception>
    public static History ReadFiles(IEnumerable<string> paths)
    {
        var operations = new List<Operation>();
        foreach (var path in paths)
        {
            using var reader = new StreamReader(path);
            operations.AddRange(ReadOperations(reader, path));
        }
        return new History(operations);
    }

    /// <summary>Reads one history from one text; <paramref name="name"/> is for messages.</summary>
    /// <exception cref="HistoryException">A line cannot be read or breaks a rule.</exception>
    public static History Read(TextReader input, string name) => new(ReadOperations(input, name));

    private static IReadOnlyCollection<Operation> ReadOperations(TextReader input, string name)
    {
        var operations = new Dictionary<(string Client, long Id), Operation>();
        var text = input.ReadToEnd();
        var number = 0;
        for (var start = 0; start < text.Length;)
        {
            ++number;
            var end = text.IndexOf('\n', start);
            var line = text[start..(end < 0 ? text.Length : end)];
            start = end < 0 ? text.Length : end + 1;
            if (line.Length == 0) continue;
            if (Parse(line, name, number, cutOff: end < 0) is not { } operation) continue;
            var key = (operation.Client, operation.Id);
            if (operations.TryGetValue(key, out var earlier) && (earlier.Outcome != Outcome.Unknown || earlier.InvokeUs != operation.InvokeUs || earlier.Kind != operation.Kind))
                throw new HistoryException($"Line {number} of {name} replaces an operation that is not the same or had its outcome already ({earlier}); number the operations of a client.");
            operations[key] = operation;
        }
        return operations.Values;
    }

    private static Operation? Parse(string line, string name, int number, bool cutOff)
    {
        try
        {
            var operation = JsonSerializer.Deserialize<Operation>(line, HistoryJson.Options);
            return operation ?? throw new HistoryException($"Line {number} of {name} is null; each line is one operation.");
        }
        catch (JsonException) when (cutOff)
        {
            return null; // See the head: half a line of a killed client says nothing.
        }
        catch (JsonException error)
        {
            throw new HistoryException($"Line {number} of {name} is no operation ({error.Message}); correct its recorder.", error);
        }
    }
}
