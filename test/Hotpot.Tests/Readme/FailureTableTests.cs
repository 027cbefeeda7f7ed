using System.Text.RegularExpressions;
using Hotpot.Tests.Runtime;

namespace Hotpot.Tests.Readme;

/// <summary>Every test that docs/failures.md names is there, so that no row promises what nothing checks.</summary>
public sealed partial class FailureTableTests
{
    [Theory]
    [InlineData("docs/failures.md", 35)]
    public void Every_test_that_is_named_exists(string document, int atLeast)
    {
        string root = Repository.Root();
        string[] named = [.. NamedTest().Matches(File.ReadAllText(Path.Combine(root, document))).Select(match => match.Groups[1].Value).Distinct()];
        Assert.True(named.Length >= atLeast, $"{document} names only {named.Length} tests.");
        HashSet<string> there = [.. ManagedTests(root), .. NativeTests(root)];
        Assert.Equal([], named.Except(there));
    }

    private static IEnumerable<string> ManagedTests(string root)
    {
        foreach (string file in Directory.EnumerateFiles(Path.Combine(root, "test"), "*.cs", SearchOption.AllDirectories))
        {
            string text = File.ReadAllText(file);
            string[] classes = [.. ClassName().Matches(text).Select(match => match.Groups[1].Value)];
            foreach (Match method in TestMethod().Matches(text))
            {
                foreach (string name in classes)
                    yield return $"{name}.{method.Groups[1].Value}";
            }
        }
    }

    private static IEnumerable<string> NativeTests(string root) =>
        Directory.EnumerateFiles(Path.Combine(root, "Hotpot.Runtime/Native/test"), "*_test.cpp")
            .SelectMany(file => NativeTest().Matches(File.ReadAllText(file)).Select(match => $"{match.Groups[1].Value}.{match.Groups[2].Value}"));

    [GeneratedRegex(@"`([A-Z][A-Za-z0-9]+\.[A-Z][A-Za-z0-9_]+)`")]
    private static partial Regex NamedTest();

    [GeneratedRegex(@"class (\w+Tests?)\b")]
    private static partial Regex ClassName();

    [GeneratedRegex(@"\[(?:Fact|Theory|InlineData|MemberData)[^\n]*\]\s*\n\s*public (?:async )?\w+ (\w+)\(")]
    private static partial Regex TestMethod();

    [GeneratedRegex(@"TEST(?:_[FP])?\((\w+), (\w+)\)")]
    private static partial Regex NativeTest();
}
