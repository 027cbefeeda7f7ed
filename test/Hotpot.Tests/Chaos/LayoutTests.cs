using Hotpot.Chaos.Node;
using Hotpot.Runtime;

namespace Hotpot.Tests.Chaos;

public sealed class LayoutTests
{
    private readonly byte[] _page = new byte[Limits.PageBytes];

    [Fact]
    public void AnUntouchedListIsEmptyAndWhole() => Assert.Empty(Layout.ElementsOf(_page)!);

    [Fact]
    public void ElementsComeBackInTheirOrder()
    {
        for (var i = 1; i <= Layout.ListElementsMax; i++)
            Layout.Append(_page, Layout.ElementsOf(_page)!, i * 1000L);
        Layout.Mark(_page, 77);
        Assert.Equal(Enumerable.Range(1, Layout.ListElementsMax).Select(i => i * 1000L), Layout.ElementsOf(_page));
    }

    /// <summary>Whatever part of an append is missing, the list does not look whole.</summary>
    [Fact]
    public void AHalfAppliedAppendIsNoticed()
    {
        Layout.Append(_page, [], 0x0102_0304_0506_0708);
        var before = _page.ToArray();
        Layout.Append(_page, Layout.ElementsOf(_page)!, 0x1112_1314_1516_1718);
        foreach (var changed in Enumerable.Range(0, _page.Length).Where(i => _page[i] != before[i]))
        {
            var torn = _page.ToArray();
            torn[changed] = before[changed];
            Assert.Null(Layout.ElementsOf(torn));
        }
    }
}
