using System.Reflection;
using Hotpot.Runtime;

namespace Hotpot.Tests.Runtime;

public sealed class ErrorTests
{
    public static TheoryData<HotpotStatus> NativeFailures =>
        [.. Enum.GetValues<HotpotStatus>().Where(status => status is > HotpotStatus.Ok and < HotpotStatus.Failed)];

    private static readonly Type[] s_exceptions =
        [.. typeof(HotpotException).Assembly.GetTypes().Where(type => type.IsSubclassOf(typeof(HotpotException)))];

    public static TheoryData<Type> Exceptions => [.. s_exceptions];

    [Theory]
    [MemberData(nameof(NativeFailures))]
    public void Each_native_failure_has_an_exception_of_its_own(HotpotStatus status)
    {
        HotpotException exception = HotpotException.From(status, "It failed.");
        Assert.NotEqual(typeof(HotpotException), exception.GetType());
        Assert.Equal(status, exception.Status);
        Assert.Equal("It failed.", exception.Message);
    }

    [Fact]
    public void A_status_from_the_future_is_still_a_Hotpot_exception() =>
        Assert.Equal(HotpotStatus.Failed, HotpotException.From((HotpotStatus)99, "It failed.").Status);

    [Theory]
    [MemberData(nameof(Exceptions))]
    public void Each_exception_can_travel_between_silos(Type type)
    {
        Assert.True(type.IsDefined(typeof(GenerateSerializerAttribute)), $"{type.Name} lacks [GenerateSerializer].");
        ConstructorInfo? constructor = type.GetConstructor([typeof(string)]);
        Assert.NotNull(constructor);
        HotpotException exception = (HotpotException)constructor.Invoke(["It failed."]);
        Assert.Equal("It failed.", exception.Message);
        Assert.NotEqual(HotpotStatus.Failed, exception.Status);
        Assert.All(
            type.GetProperties(BindingFlags.Instance | BindingFlags.Public | BindingFlags.DeclaredOnly).Where(property => property.Name != "Status"),
            property => Assert.True(property.IsDefined(typeof(IdAttribute)), $"{type.Name}.{property.Name} would be lost: it lacks [Id]."));
    }

    [Fact]
    public void No_two_exceptions_have_the_same_status()
    {
        HotpotStatus[] statuses = [.. s_exceptions.Select(type => ((HotpotException)Activator.CreateInstance(type, "It failed.")!).Status)];
        Assert.Equal(statuses.Distinct().Count(), statuses.Length);
    }

    [Theory]
    [InlineData(false, "was not carried out")]
    [InlineData(true, "is done")]
    public void A_degree_that_was_not_reached_says_whether_the_commit_happened(bool committed, string words)
    {
        DegreeException exception = new(reached: 1, asked: 3, committed);
        Assert.Equal((1, 3, committed), (exception.Reached, exception.Asked, exception.Committed));
        Assert.Contains(words, exception.Message);
    }
}
