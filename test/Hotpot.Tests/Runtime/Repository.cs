using System.Runtime.CompilerServices;

namespace Hotpot.Tests.Runtime;

/// <summary>Finds the clone that the tests were compiled from, for the tests that read its files.</summary>
internal static class Repository
{
    public static string Root([CallerFilePath] string file = "")
    {
        for (DirectoryInfo? folder = new(Path.GetDirectoryName(file)!); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Directory.Build.props")))
                return folder.FullName;
        }
        throw new InvalidOperationException($"No folder above {file} is the repository; run the tests where they were built.");
    }
}
