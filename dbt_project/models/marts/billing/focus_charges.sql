{#- FOCUS 1.4, dataset Cost and Usage. Issued documents only, so a charge appears once and never changes; a correction
    is a row of its own in a later billing period: D-focus-credit-own-invoice. Usage within an allowance costs nothing and is no charge. -#}
-- FOCUS writes its columns so.
-- sqlfluff:exclude_rules:CP02,LT12,ST06,ST07

with charges as (

    select * from {{ ref('int_issued_charges') }}

),

prices as (

    select * from {{ ref('int_charge_prices') }}

),

plans as (

    select * from {{ ref('stg_catalog__plans') }}

),

meters as (

    select * from {{ ref('stg_catalog__meters') }}

),

issuers as (

    select * from {{ ref('issuer') }}

),

charged as (

    select
        charges.*,
        plans.name as plan_name,
        meters.name as meter_name,
        meters.unit,
        issuers.name as issuer_name,
        issuers.service_category,
        issuers.service_subcategory,
        prices.pricing_model,
        prices.pricing_quantity,
        prices.pricing_unit,
        prices.list_unit_price,
        prices.contracted_unit_price,
        charges.charge_type = 'usage' and prices.charge_id is not null as is_metered,
        case when charges.charge_type = 'price' then 'plan/' || charges.plan_id else 'meter/' || charges.meter_id end
            as sku_id,
        cast(charges.billed_amount as decimal(38, 24)) as billed_cost
    from charges
    left join prices on charges.charge_id = prices.charge_id
    left join plans
        on
            charges.plan_id = plans.plan_id
            and charges.plan_version = plans.effective_from
    left join meters on charges.meter_id = meters.meter_id
    left join issuers on charges.closing_number = issuers.closing_number

),

final as (

    select
        charged.billed_cost as BilledCost,
        charged.customer_id as BillingAccountId,
        charged.customer_name as BillingAccountName,
        'Customer' as BillingAccountType,
        charged.currency as BillingCurrency,
        {{ start_of_day("charged.billing_end", "charged.timezone") }} as BillingPeriodEnd,
        {{ start_of_day("charged.billing_start", "charged.timezone") }} as BillingPeriodStart,
        case when charged.charge_type = 'usage' then 'Usage' else 'Purchase' end as ChargeCategory,
        case when charged.is_correction then 'Correction' end as ChargeClass,
        charged.description as ChargeDescription,
        case
            when charged.is_correction then 'One-Time'
            when charged.charge_type = 'usage' then 'Usage-Based'
            else 'Recurring'
        end as ChargeFrequency,
        {{ start_of_day("charged.service_end", "charged.timezone") }} as ChargePeriodEnd,
        {{ start_of_day("charged.service_start", "charged.timezone") }} as ChargePeriodStart,
        case when charged.is_metered then charged.quantity end as ConsumedQuantity,
        case when charged.is_metered then {{ unit_text("charged.unit") }} end as ConsumedUnit,
        case
            when charged.is_correction then charged.billed_cost
            else {{ exact_product("charged.contracted_unit_price", "charged.pricing_quantity") }}
        end as ContractedCost,
        charged.contracted_unit_price as ContractedUnitPrice,
        charged.billed_cost as EffectiveCost,
        charged.issuer_name as HostProviderName,
        charged.charge_id as InvoiceDetailId,
        charged.document_number as InvoiceId,
        charged.issuer_name as InvoiceIssuerName,
        case
            when charged.is_correction then charged.billed_cost
            else {{ exact_product("charged.list_unit_price", "charged.pricing_quantity") }}
        end as ListCost,
        charged.list_unit_price as ListUnitPrice,
        case
            when charged.pricing_model = 'cost_plus' then 'Other'
            when charged.pricing_model is not null then 'Standard'
        end as PricingCategory,
        charged.pricing_quantity as PricingQuantity,
        charged.pricing_unit as PricingUnit,
        charged.service_category as ServiceCategory,
        coalesce(charged.plan_name, charged.plan_id) as ServiceName,
        charged.issuer_name as ServiceProviderName,
        charged.service_subcategory as ServiceSubcategory,
        charged.sku_id as SkuId,
        case when charged.charge_type = 'price' then 'Subscription' else charged.meter_name end as SkuMeter,
        case when not charged.is_correction then '{"x_PricingModel": "' || charged.pricing_model || '"}' end
            as SkuPriceDetails,
        case
            when charged.is_correction then null
            when charged.charge_type = 'price' then 'plan/' || charged.plan_id || '/price'
            else 'plan/' || charged.plan_id || '/meter/' || charged.meter_id || '/' || charged.charge_type
        end as SkuPriceId,
        charged.subscription_id as SubAccountId,
        coalesce(charged.plan_name, charged.plan_id) as SubAccountName,
        'Subscription' as SubAccountType,
        charged.amount_minor as x_AmountMinor,
        {{ month_start("charged.billing_end - 1") }} as x_BillingMonth,
        charged.corrected_invoice_number as x_CorrectedInvoiceId,
        charged.document_type as x_DocumentType,
        charged.line_type as x_LineType,
        charged.meter_id as x_MeterId,
        charged.plan_id as x_PlanId,
        charged.quantity as x_Quantity
    from charged

)

select * from final
