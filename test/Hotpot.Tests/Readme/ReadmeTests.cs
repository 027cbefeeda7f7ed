using Hotpot.Tests.Runtime;

namespace Hotpot.Tests.Readme;

public sealed class ReadmeTests
{
    private const string Fence = "```";

    /// <summary>ReadmeSample.cs is compiled with these tests, so what equals it compiles.</summary>
    [Fact]
    public void The_code_sample_is_the_one_that_is_compiled()
    {
        string sample = File.ReadAllText(Path.Combine(Repository.Root(), "test", "Hotpot.Tests", "Readme", "ReadmeSample.cs"));

        Assert.Equal(sample[sample.IndexOf("public sealed class", StringComparison.Ordinal)..], CodeBlock());
    }

    [Fact]
    public void Every_document_that_is_linked_exists()
    {
        string[] links = [.. ReadmeText().Split("](").Skip(1).Select(rest => rest[..rest.IndexOf(')')])];

        Assert.NotEmpty(links);
        Assert.All(links, link => Assert.True(File.Exists(Path.Combine(Repository.Root(), link)), $"{link} does not exist."));
    }

    private static string ReadmeText() => File.ReadAllText(Path.Combine(Repository.Root(), "README.md"));

    private static string CodeBlock()
    {
        string start = Fence + "csharp\n";
        string rest = ReadmeText();
        rest = rest[(rest.IndexOf(start, StringComparison.Ordinal) + start.Length)..];
        return rest[..rest.IndexOf(Fence, StringComparison.Ordinal)];
    }
}
